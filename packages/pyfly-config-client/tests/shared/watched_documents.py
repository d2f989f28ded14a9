"""What watchers of tests are told."""

from typing import Any

PATIENCE = 60.0

FAST = {"interval": 0.02, "wait": 30.0}


def document(**source: Any) -> dict[str, Any]:
    sources = [{"name": "main/orders.yaml", "source": source}]
    return {"name": "orders", "profiles": ["prod"], "label": None, "propertySources": sources}
