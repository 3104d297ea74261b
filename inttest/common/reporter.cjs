// mocha's `spec` reporter that also leaves its counts where inttest/test.sh adds them up.
const { writeFileSync } = require('node:fs')
const { reporters } = require('mocha')

module.exports = class extends reporters.Spec {
  done(failures, fn) {
    const { passes, pending } = this.stats
    const file = process.env.K0S_TEST_COUNTS
    if (file) writeFileSync(file, `${passes} ${failures} ${pending}\n`)
    fn(failures)
  }
}
