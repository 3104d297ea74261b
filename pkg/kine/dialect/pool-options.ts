/** Bounds of the connections that read. */
export interface PoolOptions {
  /** Connections at most. */
  readonly maxOpen: number
  /** Of these, how many stay without work. */
  readonly maxIdle: number
  /** Milliseconds without work after which a connection is closed, 0 for never. */
  readonly maxIdleMs: number
  /** Age in milliseconds at which a connection is closed, 0 for never. */
  readonly maxLifetimeMs: number
}
