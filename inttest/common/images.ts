import versions from '#embedded-bins/versions.json' with { type: 'json' }

/** An image that only tests and the demo use. */
export type TestImage = keyof typeof versions.testImages

/** All of them; the archives are embedded-bins/staging/test-images/NAME.tar. */
export const testImages = Object.keys(versions.testImages) as readonly TestImage[]

/** Reference of a test image; its archive is placed on the workers before they start. */
export function testImage(name: TestImage): string {
  return versions.testImages[name]
}
