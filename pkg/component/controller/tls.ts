/** TLS settings of everything that listens on a controller: k0s's. Suites of TLS 1.3 are not configurable in Go. */
export const tlsFlags = {
  'tls-min-version': 'VersionTLS12',
  'tls-cipher-suites': [
    'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
    'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
    'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
    'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
    'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
    'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
  ].join(','),
} as const
