"""Address classes, transports, rewriting to standard form.  trivial-rewrite(8)"""

from __future__ import annotations

from seawall.config.parameter import flag, text

PARAMETERS = (
    flag("allow_min_user", "no", "A recipient may begin with a minus sign."),
    flag("allow_percent_hack", "yes", "user%domain means user@domain."),
    flag("allow_untrusted_routing", "no", "Addresses with % or ! are relayed for strangers."),
    flag("append_at_myorigin", "yes", "An address without a domain gets $myorigin."),
    flag(
        "append_dot_mydomain",
        "${{$compatibility_level} <level {1} ? {yes} : {no}}",
        "A domain without a dot gets $mydomain.",
    ),
    text("best_mx_transport", ""),
    text("default_transport", "smtp", "The transport of mail that is for nobody here.", low=1),
    text(
        "empty_address_default_transport_maps_lookup_key",
        "<>",
        "The key of the empty sender in sender_dependent_default_transport_maps.",
        low=1,
    ),
    text(
        "empty_address_recipient",
        "MAILER-DAEMON",
        "Who gets bounces of bounces: the recipient that <> stands for.",
        low=1,
    ),
    text(
        "empty_address_relayhost_maps_lookup_key",
        "<>",
        "The key of the empty sender in sender_dependent_relayhost_maps.",
        low=1,
    ),
    text(
        "local_header_rewrite_clients",
        "permit_inet_interfaces",
        "Clients whose header addresses are completed with myorigin and mydomain.",
    ),
    text(
        "local_recipient_maps",
        "proxy:unix:passwd.byname $alias_maps",
        "Users of mydestination; empty accepts every name.",
    ),
    text("local_transport", "local:$myhostname", "The transport of mydestination.", low=1),
    text("recipient_delimiter", "", "What parts a user's name from its extension."),
    text(
        "relay_domains",
        "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
        "Domains that are accepted for others.",
    ),
    text("relay_recipient_maps", "", "Users of relay_domains; empty accepts every name."),
    text("relay_transport", "relay", "The transport of relay_domains.", low=1),
    text("relayhost", "", "The next hop of all mail that is for nobody here."),
    text("relocated_maps", "", "Users that have moved, and where."),
    flag("relocated_prefix_enable", "yes"),
    text(
        "remote_header_rewrite_domain",
        "",
        "The domain that incomplete header addresses of strangers get; empty leaves them alone.",
    ),
    flag("resolve_dequoted_address", "yes", "A quoted @, % or ! in a local part routes like a bare one."),
    flag("resolve_null_domain", "no", "user@ with nothing behind is local."),
    flag("resolve_numeric_domain", "no", "user@1.2.3.4 is taken for user@[1.2.3.4]."),
    text("sender_dependent_default_transport_maps", "", "default_transport by sender."),
    text("sender_dependent_relayhost_maps", "", "relayhost by sender."),
    flag("swap_bangpath", "yes", "site!user means user@site."),
    text("transport_maps", "", "Transport and next hop by recipient."),
    text("virtual_alias_domains", "$virtual_alias_maps", "Domains whose every name is an alias."),
    text("virtual_alias_maps", "$virtual_maps", "Aliases of any address."),
    text("virtual_mailbox_domains", "$virtual_mailbox_maps", "Domains whose mail virtual(8) keeps."),
    text("virtual_mailbox_maps", "", "Mailboxes of virtual_mailbox_domains."),
    text("virtual_transport", "virtual", "The transport of virtual_mailbox_domains.", low=1),
)
