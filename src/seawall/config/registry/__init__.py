"""main.cf parameters, a file per stage of the journey.  postconf(5)

Defaults follow Postfix 3.12, by compatibility_level (docs/differences.md D-7).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from seawall.config.parameter import Parameter
from seawall.config.registry import (
    bounce,
    delivery,
    door,
    edge,
    intake,
    lmtp_client,
    own,
    policy,
    routing,
    site,
    smtp_client,
    spool,
    tables,
    tls,
)

STAGES: Mapping[str, tuple[Parameter, ...]] = MappingProxyType(
    {
        "site": site.PARAMETERS,
        "tables": tables.PARAMETERS,
        "door": door.PARAMETERS,
        "edge": edge.PARAMETERS,
        "tls": tls.PARAMETERS,
        "policy": policy.PARAMETERS,
        "routing": routing.PARAMETERS,
        "intake": intake.PARAMETERS,
        "spool": spool.PARAMETERS,
        "delivery": delivery.PARAMETERS,
        "smtp_client": smtp_client.PARAMETERS,
        "lmtp_client": lmtp_client.PARAMETERS,
        "bounce": bounce.PARAMETERS,
        "own": own.PARAMETERS,
    }
)
"""Every parameter that has a name of its own, by stage."""

REGISTRY: Mapping[str, Parameter] = MappingProxyType(
    {parameter.name: parameter for table in STAGES.values() for parameter in table}
)
"""The same by name."""

OWN_PREFIX = "seawall_"
