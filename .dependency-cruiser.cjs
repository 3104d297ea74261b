// The layers of the code (docs/architecture): a layer imports only lower ones, L2 and L3 folders are islands.
const layers = [
  ['L0', '^pkg/(apis|constant|errors)/'],
  ['L1', '^pkg/(lifecycle|log|file|net|patch|http2)/'],
  ['L2', '^(pkg/(config|certificate|assets|supervisor|kubernetes|etcd|kine|oci|nllb|sysinfo)|konnectivity)/'],
  ['L3', '^pkg/(api|component|applier|datastore|install|cleanup|status|token)/'],
  ['L4', '^pkg/role/'],
  ['L5', '^cmd/'],
]
/** Tests, and what only tests import (rule product-imports-tests). */
const test = '[.](test|spec)[.]ts$|/testing/|^pkg/kine/suite/'
const upward = layers.slice(0, -1).map(([name, path], i) => ({
  name: `${name}-imports-upward`,
  severity: 'error',
  from: { path, pathNot: test },
  to: { path: layers.slice(i + 1).map(([, above]) => above) },
}))
/** L2 and L3 folders are islands: `$1` is the folder matched in `from`. */
const islands = ['L2', 'L3'].map((name) => {
  const path = layers.find(([n]) => n === name)[1]
  return {
    name: `${name}-sideways`,
    severity: 'error',
    from: { path: path.replace('^', '^(').replace(/\/$/, ')/'), pathNot: test },
    to: { path, pathNot: ['^$1/', '^pkg/component/component[.]ts$'] },
  }
})
/** One door per package: the only place allowed to import it. */
const doors = {
  '@oclif/core': '^cmd/',
  winston: '^pkg/log/',
  'better-sqlite3': '^pkg/kine/dialect/sqlite/',
  pg: '^pkg/kine/dialect/postgres/',
  mysql2: '^pkg/kine/dialect/mysql/',
  etcd3: '^pkg/etcd/',
  'node-forge': '^pkg/certificate/',
  '@grpc/grpc-js': '^(pkg/kine/server|konnectivity)/',
}
const oneDoor = Object.entries(doors).map(([pkg, only]) => ({
  name: `one-door-${pkg}`,
  severity: 'error',
  from: { pathNot: [only, test, '^inttest/'] },
  to: { path: `node_modules/${pkg}/` },
}))
const placed = [...layers.map(([, path]) => path), '^(embedded-bins|config|inttest)/']
module.exports = {
  forbidden: [
    ...upward,
    ...islands,
    ...oneDoor,
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'spawn-door',
      severity: 'error',
      from: { path: '^(cmd|pkg|konnectivity)/', pathNot: ['^pkg/(supervisor|datastore)/', test] },
      to: { path: '^(node:)?child_process$' },
    },
    {
      name: 'product-imports-tests',
      severity: 'error',
      from: { path: '^(cmd|pkg|konnectivity)/', pathNot: [test, '/testing/'] },
      to: { path: '^(inttest/|.*/testing/)' },
    },
    {
      name: 'folder-without-a-layer',
      severity: 'error',
      from: { path: '^(pkg|cmd|konnectivity)/', pathNot: placed },
      to: {},
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: 'embedded-bins/staging|^build/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
}
