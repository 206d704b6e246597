"""Give the cost table a role and a database of its own on the server that has Airflow's: run at every start.

The two URLs are those of Airflow's own settings: the administrator's is the metadata database's, and the
connection ``batch_costs`` says what to make. What is there stays; a changed password is set again.
"""  # noqa: INP001 - a script of the image, not part of a package

import json
import os
import sys

import psycopg2
from psycopg2 import sql
from sqlalchemy import make_url

ADMIN = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
WANTED = "AIRFLOW_CONN_BATCH_COSTS"


def main() -> None:
    """Make or update the role and the database, and keep everyone else out of both databases."""
    admin = make_url(os.environ[ADMIN])
    wanted = json.loads(os.environ[WANTED])
    role, database = sql.Identifier(wanted["login"]), sql.Identifier(wanted["schema"])
    if wanted["host"] != admin.host:
        sys.stdout.write(f"cost table: on {wanted['host']}, whose administrator makes its database\n")
        return
    connection = psycopg2.connect(admin.set(drivername="postgresql").render_as_string(hide_password=False))
    connection.autocommit = True  # CREATE DATABASE cannot run in a transaction
    with connection.cursor() as cursor:

        def is_there(question: str, name: str) -> bool:
            cursor.execute(question, (name,))
            return cursor.fetchone() is not None

        verb = "ALTER" if is_there("SELECT FROM pg_roles WHERE rolname = %s", wanted["login"]) else "CREATE"
        login = sql.SQL(f"{verb} ROLE {{}} LOGIN PASSWORD {{}}")
        cursor.execute(login.format(role, sql.Literal(wanted["password"])))
        if not is_there("SELECT FROM pg_database WHERE datname = %s", wanted["schema"]):
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
        # A user who reads costs need not reach Airflow's connections and variables, and the other way round.
        for name in (database, sql.Identifier(admin.database or "")):
            cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))
    connection.close()
    sys.stdout.write(f"cost table: database {wanted['schema']} and its role are ready\n")


if __name__ == "__main__":
    main()
