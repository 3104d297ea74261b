import { describeOutage } from '#inttest/kine-faults/outage.ts'

describeOutage({
  name: 'hangs, as behind a firewall that drops,',
  begin: (database) => database.freeze(true),
  end: (database) => database.freeze(false),
})
