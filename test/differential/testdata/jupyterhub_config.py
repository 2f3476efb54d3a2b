"""The JupyterHub that edgehub is compared with: its own parts, all limits at their defaults."""

import os
import sys

from jupyterhub.proxy import Proxy


class NoProxy(Proxy):
    """Remembers routes and forwards nothing: requests go to the hub itself."""

    should_start = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table = {}

    async def add_route(self, routespec, target, data):
        self.table[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec):
        self.table.pop(routespec, None)

    async def get_all_routes(self):
        return dict(self.table)


here = os.path.dirname(os.path.abspath(__file__))
c = get_config()  # noqa: F821
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.hub_bind_url = os.environ["DIFFERENTIAL_URL"]
c.JupyterHub.bind_url = os.environ["DIFFERENTIAL_URL"]
c.JupyterHub.db_url = "sqlite:///:memory:"
c.JupyterHub.log_level = "WARN"
c.JupyterHub.cookie_secret = os.urandom(32)
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = os.environ["DIFFERENTIAL_PASSWORD"]
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"boss"}
c.JupyterHub.allow_named_servers = True
c.JupyterHub.services = [{"name": "driver", "api_token": os.environ["DIFFERENTIAL_TOKEN"]}]
c.JupyterHub.load_roles = [{"name": "driver", "scopes": ["admin:users", "tokens"], "services": ["driver"]}]
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = os.path.join(os.getcwd(), "home-{username}")
c.Spawner.cmd = [sys.executable, os.path.join(here, "userserver.py")]
c.Spawner.poll_interval = 0
