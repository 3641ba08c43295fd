// HMAC with SHA-256 (RFC 2104, FIPS 180-4).
#ifndef SHA256_H
#define SHA256_H

#include "bytes.h"

#define DIGEST 32

void hmac_sha256(slice key, slice message, uint8_t digest[DIGEST]);

#endif
