"""What a masterplan is: its file format, its graph of waves, and the project files it becomes.
No Django, no models, no database and no running code lives here: values in, values out."""
