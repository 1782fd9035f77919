"""Runs hostile programs so that nothing of the machine is within their reach, and tells what they reported.
What a report means for an answer is decided one floor up, in `judgement`."""
