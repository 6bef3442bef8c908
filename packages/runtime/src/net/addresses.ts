/**
 * Which addresses are the internet, and which are this machine, its neighbours, or a way to them in disguise.
 *
 * 1. What is not known to be public is not public. Of IPv6 only 2000::/3 is, and there only what carries no IPv4 address.
 */
import { BlockList, isIP } from 'node:net';

/** Private, loopback, link-local (metadata services live there), CGNAT, reserved, test, multicast; Azure's wire server. */
const inward = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '168.63.129.16/32',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
];
/** Protocol assignments (Teredo, ORCHID), documentation, 6to4. NAT64, mapped, ULA, link-local lie outside 2000::/3. */
const inward6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

const list = (subnets: readonly string[], family: 'ipv4' | 'ipv6'): BlockList => {
  const made = new BlockList();
  for (const subnet of subnets) {
    const [address = '', bits] = subnet.split('/');
    made.addSubnet(address, Number(bits), family);
  }
  return made;
};
const refused = list(inward, 'ipv4');
const refused6 = list(inward6, 'ipv6');
const global6 = list(['2000::/3'], 'ipv6');
const loopback = list(['127.0.0.0/8'], 'ipv4');

export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !refused.check(address, 'ipv4');
  return family === 6 && global6.check(address, 'ipv6') && !refused6.check(address, 'ipv6');
}

export function isLoopbackAddress(address: string): boolean {
  return address === '::1' || (isIP(address) === 4 && loopback.check(address, 'ipv4'));
}
