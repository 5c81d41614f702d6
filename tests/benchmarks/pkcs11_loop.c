/* The floor of the PKCS#11 benchmark: sign in one session with one handle, and nothing else.
 *
 * Arguments: module, token label, PIN, CKA_ID in hexadecimal. For each number on standard input it makes so many
 * signatures, and answers with the seconds that took.
 */
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static CK_FUNCTION_LIST_PTR p11;

static void require(CK_RV result, const char *what) {
  if (result == CKR_OK) return;
  fprintf(stderr, "%s: %#lx\n", what, result);
  exit(1);
}

static CK_SLOT_ID find_slot(const char *label) {
  CK_SLOT_ID slots[32];
  CK_ULONG count = 32;
  require(p11->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
  for (CK_ULONG at = 0; at < count; at++) {
    CK_TOKEN_INFO info;
    require(p11->C_GetTokenInfo(slots[at], &info), "C_GetTokenInfo");
    if (strncmp((char *)info.label, label, strlen(label)) == 0) return slots[at];
  }
  fprintf(stderr, "no token %s\n", label);
  exit(1);
}

static CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE session, const char *hex) {
  CK_BYTE id[64];
  CK_ULONG length = strlen(hex) / 2, count = 0;
  for (CK_ULONG at = 0; at < length; at++) sscanf(hex + 2 * at, "%2hhx", &id[at]);
  CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
  CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_ID, id, length}};
  CK_OBJECT_HANDLE key = 0;
  require(p11->C_FindObjectsInit(session, template, 2), "C_FindObjectsInit");
  require(p11->C_FindObjects(session, &key, 1, &count), "C_FindObjects");
  require(p11->C_FindObjectsFinal(session), "C_FindObjectsFinal");
  require(count == 1 ? CKR_OK : CKR_GENERAL_ERROR, "no key");
  return key;
}

int main(int count, char **arguments) {
  if (count != 5) return 2;
  void *module = dlopen(arguments[1], RTLD_NOW);
  CK_C_GetFunctionList get = module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : NULL;
  if (get == NULL) return 1;
  require(get(&p11), "C_GetFunctionList");
  CK_C_INITIALIZE_ARGS locking = {.flags = CKF_OS_LOCKING_OK};
  require(p11->C_Initialize(&locking), "C_Initialize");
  CK_SESSION_HANDLE session;
  require(p11->C_OpenSession(find_slot(arguments[2]), CKF_SERIAL_SESSION, NULL, NULL, &session), "C_OpenSession");
  require(p11->C_Login(session, CKU_USER, (CK_BYTE *)arguments[3], strlen(arguments[3])), "C_Login");
  CK_OBJECT_HANDLE key = find_key(session, arguments[4]);
  CK_MECHANISM ecdsa = {CKM_ECDSA, NULL, 0};
  CK_BYTE digest[32] = {0}, signature[64];
  long wanted;
  while (scanf("%ld", &wanted) == 1) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (long done = 0; done < wanted; done++) {
      CK_ULONG size = sizeof signature;
      require(p11->C_SignInit(session, &ecdsa, key), "C_SignInit");
      require(p11->C_Sign(session, digest, sizeof digest, signature, &size), "C_Sign");
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.9f\n", (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
    fflush(stdout);
  }
  return 0;
}
