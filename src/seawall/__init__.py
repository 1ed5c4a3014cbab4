"""Seawall: a mail server that runs an existing Postfix configuration and goes on serving real mail while spam floods it.

The journey of a message, told by its parts:

    A client knocks (`door`).  It speaks SMTP (`edge`, using `smtp`, the engine).  At each step we ask whether it may
    (`policy`, with `tables`, `dns`, `routing`).  What it hands over is made ours (`intake`) and put to rest (`spool`).
    When its turn comes it is handed on (`delivery`); if it cannot be, the sender is told (`bounce`).  Where another server
    stays, the session is joined with it instead (`upstream`), and nothing becomes ours.  Every fact is written once (`journal`).  All is told by `config`, and joined in `run`; the operator acts through `cli`.

`journey.py` has the handovers between the stages, `mail` the values that travel.
"""

__version__ = "0.1.0"
