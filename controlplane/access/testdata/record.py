"""Records what the original hub answers, for TestMatchesTheOriginal.

Run with a Python that has jupyterhub installed:

    python record.py > jupyterhub.json

It asks JupyterHub's own functions, with an SQLite database in memory, about
random scopes of a small world, and writes questions and answers.
"""

import json
import logging
import random
import warnings
from types import SimpleNamespace

import jupyterhub
from jupyterhub import orm, roles, scopes

warnings.simplefilter("ignore")
logging.getLogger("tornado.application").disabled = True

random.seed(42)

GROUPS = {"alice": ["g"], "bob": ["g", "h"], "carol": []}
SERVERS = ["alice/", "alice/x", "bob/", "carol/y"]
NAMES = sorted(set(scopes.scope_definitions) - {"self", "inherit", "(no_scope)"})
FILTERS = (
    [f"!user={u}" for u in GROUPS]
    + [f"!server={s}" for s in SERVERS]
    + ["!group=g", "!group=h", "!service=svc", ""]
)
SHORT = ["!user", "!server", "!service"]


def raw(n, short=True):
    def one():
        if short and random.random() < 0.1:
            return "self"
        return random.choice(NAMES) + random.choice(FILTERS + (SHORT if short else []))

    return sorted({one() for _ in range(n)})


def database():
    db = orm.new_session_factory("sqlite:///:memory:")()
    for role in roles.get_default_roles():
        roles.create_role(db, role)
    groups = {name: orm.Group(name=name) for name in ("g", "h")}
    db.add_all(groups.values())
    for name, members in GROUPS.items():
        user = orm.User(name=name)
        db.add(user)
        for group in members:
            groups[group].users.append(user)
    db.add(orm.Service(name="svc"))
    db.add(orm.OAuthClient(identifier="jupyterhub"))
    db.commit()
    return db


def owner(db, o):
    if o.get("user"):
        return orm.User.find(db, o["user"])
    return orm.Service.find(db, o["service"])


def client(o):
    if o.get("server"):
        user, _, name = o["server"].partition("/")
        spawner = SimpleNamespace(user=SimpleNamespace(name=user), name=name)
        return SimpleNamespace(identifier=o["server"], service=None, spawner=spawner)
    if o.get("user") and o.get("service"):
        service = SimpleNamespace(name=o["service"])
        return SimpleNamespace(identifier=o["service"], service=service, spawner=None)
    return None


OWNERS = [
    {"user": "alice"},
    {"user": "alice", "server": "alice/"},
    {"user": "bob", "server": "carol/y"},
    {"user": "alice", "service": "svc"},
    {"service": "svc"},
]


def expand(db):
    for name in NAMES:
        for suffix in ("", "!user=alice", "!server=alice/x"):
            yield {"user": "alice"}, [name + suffix]
    for _ in range(60):
        yield random.choice(OWNERS), raw(random.randint(1, 5))


def expand_cases(db):
    for o, r in expand(db):
        want = scopes.expand_scopes(r, owner=owner(db, o), oauth_client=client(o))
        yield {"owner": o, "raw": r, "want": sorted(want)}


def pick():
    """Few names, so that two sets meet."""
    names = ["servers", "read:users:name", "shares", "groups", "access:services"]
    return sorted({random.choice(names) + random.choice(FILTERS) for _ in range(4)})


def intersect_cases(db):
    for _ in range(120):
        a, b = pick(), pick()
        want = scopes._intersect_expanded_scopes(
            scopes.expand_scopes(a), scopes.expand_scopes(b), db=db
        )
        yield {"a": a, "b": b, "want": sorted(want)}


def allow_cases(db):
    for _ in range(40):
        have = pick()
        expanded = scopes.expand_scopes(have)
        for name in ("servers", "read:users:name", "groups", "access:services"):
            allowed = [
                f
                for f in FILTERS
                if scopes.has_scope(name + f, expanded, db=db)
            ]
            yield {"have": have, "scope": name, "allowed": sorted(allowed)}


def token_cases(db):
    """API tokens of users with role user, and of a service without a role."""
    for name in GROUPS:
        roles.grant_role(db, orm.User.find(db, name), orm.Role.find(db, "user"))
    for o in ({"user": "alice"}, {"user": "bob"}, {"service": "svc"}):
        for stored in (
            ["inherit"],
            ["inherit", "read:hub"],
            ["read:hub"],
            ["users:activity!user"],
            ["self"],
            ["servers!server=alice/x", "read:servers!group=g"],
            ["tokens", "access:servers"],
        ):
            who = owner(db, o)
            token = orm.APIToken(scopes=stored, client_id="jupyterhub")
            db.add(token)
            if o.get("user"):
                token.user = who
            else:
                token.service = who
            db.commit()
            want = scopes.get_scopes_for(token)
            yield {"owner": o, "stored": stored, "want": sorted(want)}


def main():
    db = database()
    out = {"version": jupyterhub.__version__, "groups": GROUPS}
    for cases in (expand_cases, intersect_cases, allow_cases, token_cases):
        out[cases.__name__.removesuffix("_cases")] = list(cases(db))
    lines = []
    for key, value in out.items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(v) for v in value)
            lines.append(f"{json.dumps(key)}: [\n{rows}\n]")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value)}")
    print("{\n" + ",\n".join(lines) + "\n}")


main()
