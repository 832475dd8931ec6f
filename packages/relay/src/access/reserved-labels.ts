/** Names nobody gets unless the operator reserves one for them: others would take them for the operator's own. */

const LABELS = `
abuse account accounts acme admin administrator api apis app apps assets auth authorize autoconfig autodiscover
backup billing blog cdn cert certs config console contact control cpanel dashboard db dev dns doc docs download
email example files forum ftp gateway git graphql help home hostmaster id imap info internal invalid ipv4 ipv6
isatap ldap legal local localdomain localhost login logout lt mail mailer media metrics mta-sts mx my net news noc
no-reply noreply ns ns0 ns1 ns2 ns3 ns4 oauth official ops origin password pay payment payments pop pop3 porthole
portal postmaster privacy proxy public registry relay reset root rss sandbox secure security server service
services sftp shop-admin sign-in signin signup sip smtp ssh sso ssl staff stage staging static stats status store
stun support sys sysadmin system tcp team telnet test tls token tools turn tunnel tunnels udp update uploads url
usenet user users uucp verify vpn wap web webdisk webmail webmaster whois wpad ws www www1 www2 www3 xmpp
`;

export const RESERVED_LABELS: ReadonlySet<string> = new Set(LABELS.trim().split(/\s+/));
