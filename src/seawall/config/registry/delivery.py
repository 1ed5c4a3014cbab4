"""Mailboxes, commands and files.  local(8), virtual(8), pipe(8), spawn(8)"""

from __future__ import annotations

from seawall.config.parameter import flag, number, raw, text, time

PARAMETERS = (
    text("alias_database", "$default_database_type:/etc/aliases", "The alias files that `seawall newaliases` builds."),
    text("alias_maps", "$default_database_type:/etc/aliases", "Aliases of local users, as aliases(5) has them."),
    text("allow_mail_to_commands", "alias, forward", "Where `|command` may stand."),
    text("allow_mail_to_files", "alias, forward", "Where `/file` may stand."),
    flag("biff", "yes"),
    raw("command_execution_directory", "", "The directory in which a mailbox_command runs."),
    text(
        "command_expansion_filter",
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "The characters that $name may bring into a mailbox_command.",
        low=1,
    ),
    time("command_time_limit", "1000s", "How long a command may take.", low=1),
    text("default_privs", "nobody", "The user for commands and files where the recipient has none.", low=1),
    number("deliver_lock_attempts", "20", "How often a mailbox lock is tried.", low=1),
    time("deliver_lock_delay", "1s", "The time between two tries for a mailbox lock.", low=1),
    text(
        "execution_directory_expansion_filter",
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "The characters that $name may bring into command_execution_directory.",
        low=1,
    ),
    flag("expand_owner_alias", "no", "Mail to an alias with an owner- goes out under the owner's address."),
    text("export_environment", "TZ MAIL_CONFIG LANG", "Variables that a command started by delivery gets to see."),
    text("fallback_transport", "", "The transport of names that are no user."),
    text("fallback_transport_maps", "", "The same by name."),
    text(
        "forward_expansion_filter",
        "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "The characters that $name may bring into forward_path.",
        low=1,
    ),
    raw(
        "forward_path",
        "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
        "The ~/.forward files to look for, in order; macros speak of the recipient.",
    ),
    flag("frozen_delivered_to", "yes", "A Delivered-To: loop is looked for before aliases are expanded."),
    text("home_mailbox", "", "The mailbox below the home directory; a final / makes it a Maildir."),
    text("local_command_shell", "", "The shell of commands; empty runs simple ones without."),
    text("local_delivery_status_filter", "$default_delivery_status_filter"),
    raw("luser_relay", "", "Where mail of names that are no user goes."),
    text("mail_spool_directory", "/var/mail", "Where mailboxes lie that are named after their user."),
    raw("mailbox_command", "", "A command that takes all local mail."),
    text("mailbox_command_maps", "", "The same by user."),
    text("mailbox_delivery_lock", "fcntl, dotlock", "How a mailbox file is locked.", low=1),
    number("mailbox_size_limit", "51200000", "Bytes of a mailbox file; 0 is no limit."),
    text("mailbox_transport", "", "A transport that takes all local mail."),
    text("mailbox_transport_maps", "", "The same by user."),
    flag(
        "owner_request_special", "yes", "The aliases owner-NAME and NAME-request are no extensions of owner and NAME."
    ),
    text("pipe_delivery_status_filter", "$default_delivery_status_filter"),
    text("prepend_delivered_header", "command, file, forward", "Where Delivered-To: is written."),
    flag("require_home_directory", "no", "A recipient without a home directory has to wait."),
    flag("reset_owner_alias", "no", "An alias in an alias resets the owner."),
    time("stale_lock_time", "500s", "The age at which a dotlock counts as left behind.", low=1),
    flag("strict_mailbox_ownership", "yes", "A mailbox file must belong to its user."),
    flag("sun_mailtool_compatibility", "no"),
    text("virtual_delivery_status_filter", "$default_delivery_status_filter"),
    text("virtual_gid_maps", "", "The group of a virtual mailbox."),
    text("virtual_mailbox_base", "", "What virtual_mailbox_maps' paths lie below."),
    number("virtual_mailbox_limit", "51200000", "Bytes of a virtual mailbox file; 0 is no limit."),
    text("virtual_mailbox_lock", "fcntl, dotlock", "How a virtual mailbox file is locked.", low=1),
    number("virtual_minimum_uid", "100", "The lowest user that virtual mailboxes may belong to.", low=1),
    text("virtual_uid_maps", "", "The user of a virtual mailbox."),
)
