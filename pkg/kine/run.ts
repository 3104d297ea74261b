import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { errorMessage } from '#pkg/errors/error.ts'
import { dialectFor } from '#pkg/kine/dialect/open.ts'
import { describeEndpoint, parseEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import { KineError, StoreError } from '#pkg/kine/errors.ts'
import { checkTlsFiles } from '#pkg/kine/endpoint/tls-files.ts'
import { Observation } from '#pkg/kine/metrics/observation.ts'
import { serveMetrics } from '#pkg/kine/metrics/serve.ts'
import type { MetricsDeps } from '#pkg/kine/metrics/serve.ts'
import {
  DEFAULT_ENDPOINT,
  DEFAULT_LISTEN_ADDRESS,
  DEFAULT_METRICS_BIND_ADDRESS,
  DEFAULT_SLOW_MS,
  DEFAULT_VALUE_CACHE_BYTES,
  DEFAULT_WATCH_CACHE_BYTES,
} from '#pkg/kine/options.ts'
import type { KineFiles, KineOptions } from '#pkg/kine/options.ts'
import { GrpcServer } from '#pkg/kine/server/grpc-server.ts'
import type { TlsOptions } from '#pkg/kine/server/grpc-server.ts'
import { listen, listenUrl, parseListenAddress } from '#pkg/kine/server/listen.ts'
import type { ListenAddress } from '#pkg/kine/server/listen.ts'
import { etcdMethods } from '#pkg/kine/server/methods.ts'
import { Store } from '#pkg/kine/store.ts'
import type { Logger } from '#pkg/log/logger.ts'

export type { KineFiles, KineOptions } from '#pkg/kine/options.ts'

/** What kine needs of its surroundings. */
export interface KineDeps {
  readonly log: Logger
  /** Ends the server gracefully. */
  readonly signal: AbortSignal
  readonly files: KineFiles
  /** Told once clients can connect; for tests and embedding. */
  readonly onReady?: () => void
}

const PROGRESS_INTERVAL_MS = 5_000
/** Time that answers under way get at the end before their connections are cut. */
const DRAIN_MS = 1_000

/**
 * Serves the etcd v3 API over one database until `signal` aborts; then refuses new calls, finishes the commits that
 * were taken, and closes the database cleanly.
 *
 * @throws KineError, DatabaseLockedError when it cannot start or the database threads die
 */
export async function runKine(options: KineOptions, deps: KineDeps): Promise<void> {
  const { log, signal, files } = deps
  signal.throwIfAborted()
  const address = parseListenAddress(options.listenAddress ?? DEFAULT_LISTEN_ADDRESS)
  const endpoint = parseEndpoint(options.endpoint ?? DEFAULT_ENDPOINT, options)
  const database = describeEndpoint(endpoint)
  const metricsAddress = parseMetricsAddress(options.metricsBindAddress)
  const tls = await readTls(options)
  await checkTlsFiles(endpoint)
  const quotaBytes = options.quotaBackendBytes ?? 0
  const observation = new Observation({ slowMs: options.slowSqlThresholdMs ?? DEFAULT_SLOW_MS, quotaBytes }, log)
  const failed = Promise.withResolvers<never>()
  // Whoever waits sees the failure; before and after that it must not count as unhandled.
  failed.promise.catch(() => undefined)
  await using cleanup = new AsyncDisposableStack()

  const dialect = observation.aroundDialect(
    await dialectFor(endpoint, options, { files, log, onFailure: failed.reject }),
  )
  const store = await openStore(
    {
      ringBytes: options.watchCacheBytes ?? DEFAULT_WATCH_CACHE_BYTES,
      cacheBytes: options.valueCacheBytes ?? DEFAULT_VALUE_CACHE_BYTES,
      progressIntervalMs: options.watchProgressNotifyIntervalMs ?? PROGRESS_INTERVAL_MS,
    },
    { dialect, log, signal, onCommit: (durationMs) => observation.onCommit(durationMs), onFailure: failed.reject },
  )
  if (store === undefined) return
  cleanup.defer(() => closeStore(store, log))

  const clientUrls = [listenUrl(address, tls === undefined ? 'http' : 'https')]
  const methods = etcdMethods({ store: observation.aroundStore(store), hub: store.hub, clientUrls, quotaBytes })
  const grpc = new GrpcServer(tls, observation.aroundMethods(methods))
  cleanup.use(observation.watchSize(store))
  cleanup.use(await tryServeMetrics(metricsAddress, observation.endpoints(store, grpc), log))
  await listen(grpc.server, address)
  cleanup.defer(() => stopServer(grpc))
  log.info('kine is ready', {
    listen: clientUrls[0],
    database,
    revision: store.revision,
    keys: store.keys,
  })
  deps.onReady?.()
  try {
    await Promise.race([aborted(signal), failed.promise])
  } catch (error) {
    throw new KineError(`database ${database}: ${errorMessage(error)}; kine must be started again`, {
      cause: error,
    })
  }
}

/** Undefined: asked to end while it waited for the database. */
async function openStore(...args: Parameters<typeof Store.open>): Promise<Store | undefined> {
  try {
    return await Store.open(...args)
  } catch (error) {
    if (args[1].signal?.aborted === true) return undefined
    if (!(error instanceof StoreError)) throw error
    const reason = errorMessage(error.cause ?? error)
    throw new KineError(`cannot read the database: ${reason}; check its disk, or restore it from a backup`, {
      cause: error,
    })
  }
}

async function stopServer(grpc: GrpcServer): Promise<void> {
  const closed = once(grpc.server, 'close')
  grpc.stop()
  const cut = setTimeout(() => grpc.destroy(), DRAIN_MS)
  try {
    await closed
  } finally {
    clearTimeout(cut)
  }
}

async function closeStore(store: Store, log: Logger): Promise<void> {
  try {
    await store.close()
  } catch (error) {
    // A dead database thread cannot be closed; what it acknowledged is on disk.
    log.warn('cannot close the database cleanly', { err: error })
  }
}

/** A store that works is worth more than its metrics: when their address is taken, it serves without them. */
async function tryServeMetrics(
  address: ListenAddress | undefined,
  deps: MetricsDeps,
  log: Logger,
): Promise<AsyncDisposable | undefined> {
  if (address === undefined) return undefined
  try {
    return await serveMetrics(address, deps)
  } catch (error) {
    log.error('cannot serve metrics', { err: errorMessage(error) })
    return undefined
  }
}

function parseMetricsAddress(text: string | undefined): ListenAddress | undefined {
  if (text === undefined || text === '0') return undefined
  return parseListenAddress(text === '' ? DEFAULT_METRICS_BIND_ADDRESS : text, '--metrics-bind-address')
}

async function readTls(options: KineOptions): Promise<TlsOptions | undefined> {
  const { serverCertFile, serverKeyFile, trustedCaFile } = options
  if (serverCertFile === undefined && serverKeyFile === undefined && trustedCaFile === undefined) return undefined
  if (serverCertFile === undefined || serverKeyFile === undefined) {
    throw new KineError('TLS needs both --server-cert-file and --server-key-file')
  }
  return {
    certPem: await readPem(serverCertFile),
    keyPem: await readPem(serverKeyFile),
    caPem: trustedCaFile === undefined ? undefined : await readPem(trustedCaFile),
  }
}

async function readPem(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new KineError(`cannot read ${path}: ${errorMessage(error)}`, { cause: error })
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}
