"""Fills the database of a JupyterHub that has been started once: seed.py DATABASE USERS TOKENS.

Prints the tokens, one a line. They are of the administrator "boss".
"""

import sys

from jupyterhub import orm
from jupyterhub.utils import hash_token, new_token
from sqlalchemy import insert

PART = 5000


def rows(session, table, make, count):
    """Inserts count rows, many at a time."""
    for start in range(0, count, PART):
        session.execute(insert(table), [make(i) for i in range(start, min(start + PART, count))])
    session.commit()


session = orm.new_session_factory(sys.argv[1])()
users, tokens = int(sys.argv[2]), int(sys.argv[3])
boss = session.query(orm.User).filter_by(name="boss").one()
role = session.query(orm.Role).filter_by(name="user").one()

first = 1 + max(u for (u,) in session.query(orm.User.id))
rows(session, orm.User.__table__, lambda i: {"id": first + i, "name": f"user-{i:07d}", "admin": False, "cookie_id": new_token()}, users)
rows(session, orm.Base.metadata.tables["user_role_map"], lambda i: {"user_id": first + i, "role_id": role.id}, users)


def token(i):
    secret = new_token()
    print(secret)
    return {
        "user_id": boss.id,
        "hashed": hash_token(secret, rounds=1, salt=8, algorithm="sha512"),
        "prefix": secret[:4],
        "client_id": "jupyterhub",
        "scopes": ["inherit"],
        "note": "",
    }


rows(session, orm.APIToken.__table__, token, tokens)
