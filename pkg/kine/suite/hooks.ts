import { DATABASES } from '#pkg/kine/testing/database-servers.ts'

/** mocha's root hooks (--require). */
export const mochaHooks = {
  async afterAll(): Promise<void> {
    await DATABASES[Symbol.asyncDispose]()
  },
}
