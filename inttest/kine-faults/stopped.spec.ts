import { describeOutage } from '#inttest/kine-faults/outage.ts'

describeOutage({
  name: 'is stopped',
  begin: (database) => database.stop(),
  end: (database) => database.start(),
})
