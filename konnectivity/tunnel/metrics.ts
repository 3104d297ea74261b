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

/** Durations by bucket, for each combination of labels. */
export class Histogram implements Metric {
  readonly #options: MetricOptions
  readonly #buckets: readonly number[]
  readonly #series = new Map<string, { labels: Labels; counts: number[]; sum: number; count: number }>()

  /** `labelled`: every observation has labels, so that nothing is shown before the first. */
  constructor(options: MetricOptions & { readonly labelled?: boolean }, buckets: readonly number[]) {
    this.#options = options
    this.#buckets = buckets
    if (options.labelled !== true) this.#of({})
  }

  /** Adds one observation, in seconds. */
  observe(seconds: number, labels: Labels = {}): void {
    const series = this.#of(labels)
    series.sum += seconds
    series.count += 1
    const bucket = this.#buckets.findIndex((limit) => seconds <= limit)
    if (bucket >= 0) series.counts[bucket] = (series.counts[bucket] ?? 0) + 1
  }

  render(): string {
    const { name, help } = this.#options
    const lines = [...this.#series.values()].flatMap(({ labels, counts, sum, count }) => {
      let cumulative = 0
      const line = (le: string, value: number): string => `${name}_bucket${renderLabels({ ...labels, le })} ${value}`
      return [
        ...this.#buckets.map((limit, i) => line(String(limit), (cumulative += counts[i] ?? 0))),
        line('+Inf', count),
        `${name}_sum${renderLabels(labels)} ${sum}`,
        `${name}_count${renderLabels(labels)} ${count}`,
      ]
    })
    return [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`, ...lines].join('\n')
  }

  #of(labels: Labels): { counts: number[]; sum: number; count: number } {
    const key = renderLabels(labels)
    let series = this.#series.get(key)
    if (series === undefined) {
      series = { labels, counts: this.#buckets.map(() => 0), sum: 0, count: 0 }
      this.#series.set(key, series)
    }
    return series
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
