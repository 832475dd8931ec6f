/** Names nobody gets unless the operator reserves one for them: others would take them for the operator's own. */

const LABELS = `
abuse account accounts acme admin administrator api apis assets auth authorize autoconfig autodiscover billing cdn
cert cpanel dashboard dns ftp gateway hostmaster id imap internal invalid ipv4 ipv6 isatap ldap local localdomain
localhost login logout mail mailer mta-sts mx no-reply noreply ns ns0 ns1 ns2 ns3 ns4 oauth password pay payment
payments pop3 porthole postmaster privacy proxy relay root secure security sftp sign-in signin signup sip smtp ssh
ssl sso static status stun support sys sysadmin system tcp telnet tls token tunnel turn udp usenet verify vpn
webdisk webmail webmaster whois wpad www www1 www2 www3 xmpp
`;

export const RESERVED_LABELS: ReadonlySet<string> = new Set(LABELS.trim().split(/\s+/));
