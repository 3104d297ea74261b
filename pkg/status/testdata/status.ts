import type { ComponentReport, StatusInfo, TunnelInfo } from '#pkg/status/types.ts'

const since = '2026-11-21T14:00:00.000Z'

/** Reports of a controller whose API server is still starting. */
export const reports: readonly ComponentReport[] = [
  {
    name: 'etcd',
    state: 'ready',
    waitingFor: [],
    since,
    restarts: 1,
    probedAt: '2026-11-21T14:00:09.000Z',
    events: [
      { at: since, state: 'waiting' },
      { at: since, state: 'starting' },
      { at: since, state: 'not-ready', reason: 'not probed yet' },
      { at: since, state: 'ready' },
    ],
  },
  {
    name: 'kube-apiserver',
    state: 'not-ready',
    waitingFor: [],
    reason: 'https://127.0.0.1:6443/readyz does not answer: connection refused',
    since,
    restarts: 0,
    probedAt: '2026-11-21T14:00:10.000Z',
    events: [{ at: since, state: 'starting' }],
  },
  { name: 'kube-scheduler', state: 'waiting', waitingFor: ['kube-apiserver'], since, events: [] },
]

/** What the process itself says. */
export const status: Omit<StatusInfo, 'Components'> = {
  Version: 'v1.36.3+k0s.0',
  Pid: 4242,
  PPid: 1,
  Role: 'controller',
  SysInit: '',
  StubFile: '',
  Output: '',
  Workloads: false,
  Storage: 'etcd',
  SingleNode: false,
  Args: ['k0s', 'controller'],
  WorkerToAPIConnectionStatus: { Message: '', Success: false },
  ClusterConfig: { apiVersion: 'k0s.k0sproject.io/v1beta1', kind: 'ClusterConfig', metadata: { name: 'k0s' } },
  K0sVars: { dataDir: '/var/lib/k0s', runDir: '/run/k0s' },
}

/** Both ends, as a controller that runs pods has them. */
export const tunnel: TunnelInfo = {
  Workers: [
    {
      name: 'worker-0',
      address: '10.0.0.20',
      state: 'connected',
      since,
      roundTripMs: 0.4321,
      openConnections: 3,
      bytesToEndpoints: 17,
      bytesFromEndpoints: 5 * 1024 ** 3,
      losses: 0,
    },
    {
      name: 'worker-1',
      address: '-',
      state: 'lost',
      since: '2026-11-21T14:07:00.000Z',
      openConnections: 0,
      bytesToEndpoints: 0,
      bytesFromEndpoints: 0,
      losses: 2,
      lastError: 'no answer to a ping within 5000 ms',
    },
  ],
  Controllers: [
    {
      name: 'controller-0',
      address: '10.0.0.10:8132',
      state: 'connected',
      since,
      roundTripMs: 12.04,
      openConnections: 0,
      bytesToEndpoints: 1536,
      bytesFromEndpoints: 1024 ** 2,
      losses: 1,
      lastError: 'read ECONNRESET',
    },
    {
      name: '-',
      address: '10.0.0.11:8132',
      state: 'waiting',
      openConnections: 0,
      bytesToEndpoints: 0,
      bytesFromEndpoints: 0,
      losses: 0,
      lastError: 'connect ECONNREFUSED 10.0.0.11:8132',
    },
  ],
}
