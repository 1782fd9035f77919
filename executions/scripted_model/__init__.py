"""The scripted model: a stand-in for a model that speaks `/v1/messages` and answers from plan files.
Nothing here knows Django, the database or the engine; the product meets it only at the wire."""
