/** Label names and values of one time series. */
export type Labels = Readonly<Record<string, string>>

/** A metric that knows how to print itself in the Prometheus text format. */
export interface Metric {
  /** HELP, TYPE and one line for each series. */
  render(): string
}

/** What is common to all metrics. */
export interface MetricOptions {
  /** Full name, unit suffix included. */
  readonly name: string
  /** One sentence. */
  readonly help: string
}

/** A value that only grows. */
export class Counter implements Metric {
  readonly #options: MetricOptions
  readonly #series = new Map<string, number>()

  constructor(options: MetricOptions) {
    this.#options = options
  }

  /** Adds to the series with `labels`. */
  add(labels: Labels = {}, amount = 1): void {
    const key = renderLabels(labels)
    this.#series.set(key, (this.#series.get(key) ?? 0) + amount)
  }

  render(): string {
    return renderMetric(
      this.#options,
      'counter',
      [...this.#series].map(([labels, value]) => [labels, value]),
    )
  }
}

/** A value read at the moment it is asked for, so that it cannot drift from what it counts. */
export class Gauge implements Metric {
  readonly #options: MetricOptions
  readonly #read: () => readonly (readonly [Labels, number])[]

  constructor(options: MetricOptions, read: () => readonly (readonly [Labels, number])[]) {
    this.#options = options
    this.#read = read
  }

  render(): string {
    return renderMetric(
      this.#options,
      'gauge',
      this.#read().map(([labels, value]) => [renderLabels(labels), value]),
    )
  }
}

/** Durations by bucket. */
export class Histogram implements Metric {
  readonly #options: MetricOptions
  readonly #buckets: readonly number[]
  readonly #counts: number[]
  #sum = 0
  #count = 0

  constructor(options: MetricOptions, buckets: readonly number[]) {
    this.#options = options
    this.#buckets = buckets
    this.#counts = buckets.map(() => 0)
  }

  /** Adds one observation, in seconds. */
  observe(seconds: number): void {
    this.#sum += seconds
    this.#count += 1
    const bucket = this.#buckets.findIndex((limit) => seconds <= limit)
    if (bucket >= 0) this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
  }

  render(): string {
    const { name, help } = this.#options
    let cumulative = 0
    const lines = this.#buckets.map((limit, i) => {
      cumulative += this.#counts[i] ?? 0
      return `${name}_bucket{le="${limit}"} ${cumulative}`
    })
    return [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} histogram`,
      ...lines,
      `${name}_bucket{le="+Inf"} ${this.#count}`,
      `${name}_sum ${this.#sum}`,
      `${name}_count ${this.#count}`,
    ].join('\n')
  }
}

/** The page a scraper reads. */
export function renderMetrics(metrics: Readonly<Record<string, Metric>>): string {
  return `${Object.values(metrics)
    .map((metric) => metric.render())
    .join('\n')}\n`
}

function renderMetric({ name, help }: MetricOptions, type: string, series: (readonly [string, number])[]): string {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...series.map(([l, v]) => `${name}${l} ${v}`)].join('\n')
}

function renderLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}
