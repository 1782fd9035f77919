"""From an atom to an answer: the ladder, the prompt, the call to the model, reading the answer, its price.
Not here: judging an answer (`validation`), storing anything (`engine`), and any Django."""
