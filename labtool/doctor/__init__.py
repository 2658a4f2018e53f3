"""The doctor: every known failure of a Flexisip server looked for, each with evidence and cure.

    evidence = examination.of_host(host, lab, access)     # one SSH connection, ports, DNS, logins
    evidence = examination.of_target(target, ["udp"], account)     # as a phone meets the server
    report(evidence, seconds).findings, .exit_code, .to_dict()

`catalogue` is the table of failures; `judges` are pure functions from an Evidence to findings;
only `examination`, `network` and `names` touch the world. Nothing on the server is changed.
"""
