"""The JupyterHub that edgehub is measured beside: its own parts, without a proxy."""

import os

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


c = get_config()  # noqa: F821
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.hub_bind_url = c.JupyterHub.bind_url = os.environ["BENCH_URL"]
c.JupyterHub.db_url = os.environ["BENCH_DATABASE"]
c.JupyterHub.log_level = "ERROR"
c.JupyterHub.cookie_secret = os.urandom(32)
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"boss"}
c.JupyterHub.spawner_class = "simple"
