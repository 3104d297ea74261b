// mocha's `spec` reporter that also leaves its counts where inttest/test.sh adds them up, and that ends a run which does
// not end: what a test has left running is a failure of its own, never a run without an end.
const { readFileSync, readdirSync, writeFileSync } = require('node:fs')
const { reporters } = require('mocha')

/** A run ends as soon as nothing runs; servers that are being stopped may take this long. */
const GRACE_MS = 20_000

module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options)
    runner.on('fail', (test, error) => tellAll(error))
  }

  done(failures, fn) {
    const { passes, pending } = this.stats
    const file = process.env.K0S_TEST_COUNTS
    const report = (failed) => {
      if (file) writeFileSync(file, `${passes} ${failed} ${pending}\n`)
    }
    report(failures)
    fn(failures)
    setTimeout(() => {
      const left = [...process.getActiveResourcesInfo(), ...children().map((pid) => `process ${pid}`)]
      console.error(`a test has left something running, ended ${GRACE_MS / 1000} s after the last: ${left.join(', ')}`)
      report(failures + 1)
      for (const pid of children()) process.kill(pid, 'SIGKILL')
      process.on('exit', () => (process.exitCode = 1)) // after mocha's own listener, which sets the count of failures
      process.exit()
    }, GRACE_MS).unref()
  }
}

/** Of an error while others were handled mocha prints the outermost only. */
function tellAll(error) {
  if (error?.suppressed === undefined || error.told) return
  error.told = true
  for (const inner of [error.suppressed, error.error]) {
    tellAll(inner)
    error.stack += `\n${inner?.stack ?? inner}`
  }
}

function children() {
  const tasks = '/proc/self/task'
  const lists = readdirSync(tasks).map((task) => readFileSync(`${tasks}/${task}/children`, 'utf8'))
  return lists.join(' ').split(' ').filter(Boolean).map(Number)
}
