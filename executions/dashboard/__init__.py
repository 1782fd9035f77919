"""The pages that people use: views, forms, words and colours. Each view translates, asks one queryset or one service
verb, and translates back. No state is written here, and nothing is decided that REST would have to decide again."""
