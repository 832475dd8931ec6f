/** What every process shows of itself, under the names Prometheus users know; of several, each by itself. */
import { readdirSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { Metrics } from './metrics.ts';

export function addProcessMetrics(metrics: Metrics): void {
  const startedAt = Date.now() / 1000 - process.uptime();
  metrics.counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time used, user and system.',
    across: 'each',
    read: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  });
  metrics.gauge({
    name: 'process_start_time_seconds',
    help: 'When the process started, Unix time.',
    across: 'each',
    read: () => startedAt,
  });
  metrics.gauge({
    name: 'process_resident_memory_bytes',
    help: 'Memory in use.',
    across: 'each',
    read: () => process.memoryUsage.rss(),
  });
  metrics.gauge({
    name: 'process_open_fds',
    help: 'Open file descriptors; absent where the system does not say.',
    across: 'each',
    read: openFiles,
  });
  metrics.gauge({
    name: 'nodejs_memory_bytes',
    help: 'Memory by use.',
    across: 'each',
    label: 'use',
    read: () => {
      const { heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage();
      return { heap_used: heapUsed, heap_total: heapTotal, external, array_buffers: arrayBuffers };
    },
  });
  metrics.gauge({
    name: 'nodejs_active_resources',
    help: 'Sockets, servers, timers and the like that keep the process alive.',
    across: 'each',
    label: 'type',
    read: activeResources,
  });
  addLoopMetric(metrics);
}

function addLoopMetric(metrics: Metrics): void {
  let last = performance.eventLoopUtilization();
  metrics.gauge({
    name: 'nodejs_eventloop_utilization_ratio',
    help: 'Share of the time since the last scrape in which the event loop was busy.',
    across: 'each',
    read: () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    },
  });
}

function openFiles(): number | Record<string, number> {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return {};
  }
}

function activeResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const type of process.getActiveResourcesInfo()) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}
