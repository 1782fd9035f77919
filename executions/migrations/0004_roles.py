"""The groups that permissions.py knows, so that they can be given in the admin."""

from django.db import migrations

ROLES = ("viewer", "operator", "author")


def make(apps, schema_editor):
    for name in ROLES:
        apps.get_model("auth", "Group").objects.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("executions", "0003_api_tokens"),
    ]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
