"""Pictures of a run: networkx and matplotlib, from the extra ``lab``. ``run.plot`` is the way in."""
