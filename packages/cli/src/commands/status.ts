/** `porthole status`: asks every agent of this user on this machine, and prints what they say just now. */
import type { SharedFlags } from '../flags.ts';
import type { StatusDocument } from '../running/status-document.ts';
import { askAll } from '../running/status-socket.ts';
import { printLines, statusFolderOf, type World } from '../world.ts';

export async function runStatus(flags: SharedFlags, world: World): Promise<number> {
  const agents = await askAll(statusFolderOf(world));
  if (flags.json === true) await printLines(world.stdout, [JSON.stringify({ agents })]);
  else
    await printLines(
      world.stdout,
      agents.length === 0 ? ['No agent of yours runs on this machine.'] : statusTable(agents),
    );
  return 0;
}

export function statusTable(agents: readonly StatusDocument[]): string[] {
  const rows = [['PID', 'RELAY', 'STATE', 'TUNNEL', 'ADDRESS', 'TARGET', 'REQUESTS']];
  for (const agent of agents) {
    const about = [String(agent.pid), agent.relay, agent.state];
    if (agent.tunnels.length === 0) rows.push([...about, '', '', '', '']);
    for (const tunnel of agent.tunnels) {
      rows.push([
        ...about,
        tunnel.tunnel ?? tunnel.name ?? '',
        tunnel.state === 'open' ? (tunnel.urls ?? [tunnel.url ?? '']).join(' ') : tunnel.state,
        tunnel.target,
        String(tunnel.requests),
      ]);
    }
  }
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length))) ?? [];
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  for (const agent of agents) if (agent.reason !== undefined) lines.push(`${agent.pid}: ${agent.reason}`);
  return lines;
}
