#!/usr/bin/env python
"""Django's command line."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mge_site.settings")
    from django.core.management import execute_from_command_line

    from mge_site.env import BadSetting

    try:
        execute_from_command_line(sys.argv)
    except BadSetting as error:
        if sys.argv[1:2] == ["doctor"]:
            from mge_site.refused import diagnosis

            sys.stdout.write(diagnosis(str(error)))
            sys.exit(1)
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
