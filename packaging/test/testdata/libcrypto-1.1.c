// Stands for OpenSSL 1.1, which few systems still have: the four functions that the
// add-in of 2022 takes from it, by way of OpenSSL 3.
#include <dlfcn.h>
#include <stddef.h>

static void *three(const char *name) {
	static void *library;
	if (library == NULL) library = dlopen("libcrypto.so.3", RTLD_NOW);
	return dlsym(library, name);
}

int AES_set_decrypt_key(const unsigned char *key, int bits, void *out) {
	return ((int (*)(const unsigned char *, int, void *))three("AES_set_decrypt_key"))(key, bits, out);
}

void AES_cbc_encrypt(const unsigned char *in, unsigned char *out, size_t length, const void *key, unsigned char *iv, int encrypt) {
	((void (*)(const unsigned char *, unsigned char *, size_t, const void *, unsigned char *, int))three("AES_cbc_encrypt"))(in, out, length, key, iv, encrypt);
}

const void *EVP_sha256(void) { return ((const void *(*)(void))three("EVP_sha256"))(); }

unsigned char *HMAC(const void *hash, const void *key, int key_length, const unsigned char *data, size_t length, unsigned char *out, unsigned *out_length) {
	return ((unsigned char *(*)(const void *, const void *, int, const unsigned char *, size_t, unsigned char *, unsigned *))three("HMAC"))(
		hash, key, key_length, data, length, out, out_length);
}
