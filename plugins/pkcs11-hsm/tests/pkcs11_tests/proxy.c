/* A PKCS#11 module between Keyclave and a real one, which the tests make fail on purpose.
 *
 * The real module is named by PROXY_MODULE. Functions that begin with proxy_ are called by the tests. A function of the
 * module is named as in the standard, without its prefix C_.
 */
#define CRYPTOKI_GNU 1
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Functions that only fail or hang, and functions of which the tests change the answer as well. */
#define PLAIN(X) \
  X(Initialize, (void *a), (a)) \
  X(Finalize, (void *a), (a)) \
  X(OpenSession, (ck_slot_id_t a, ck_flags_t b, void *c, ck_notify_t d, ck_session_handle_t *e), (a, b, c, d, e)) \
  X(CloseSession, (ck_session_handle_t a), (a)) \
  X(Login, (ck_session_handle_t a, ck_user_type_t b, unsigned char *c, unsigned long d), (a, b, c, d)) \
  X(CreateObject, (ck_session_handle_t a, struct ck_attribute *b, unsigned long c, ck_object_handle_t *d), (a, b, c, d)) \
  X(DestroyObject, (ck_session_handle_t a, ck_object_handle_t b), (a, b)) \
  X(GetAttributeValue, (ck_session_handle_t a, ck_object_handle_t b, struct ck_attribute *c, unsigned long d), \
    (a, b, c, d)) \
  X(SetAttributeValue, (ck_session_handle_t a, ck_object_handle_t b, struct ck_attribute *c, unsigned long d), \
    (a, b, c, d)) \
  X(FindObjectsInit, (ck_session_handle_t a, struct ck_attribute *b, unsigned long c), (a, b, c)) \
  X(FindObjects, (ck_session_handle_t a, ck_object_handle_t *b, unsigned long c, unsigned long *d), (a, b, c, d)) \
  X(FindObjectsFinal, (ck_session_handle_t a), (a)) \
  X(EncryptInit, (ck_session_handle_t a, struct ck_mechanism *b, ck_object_handle_t c), (a, b, c)) \
  X(Encrypt, (ck_session_handle_t a, unsigned char *b, unsigned long c, unsigned char *d, unsigned long *e), \
    (a, b, c, d, e)) \
  X(DecryptInit, (ck_session_handle_t a, struct ck_mechanism *b, ck_object_handle_t c), (a, b, c)) \
  X(Decrypt, (ck_session_handle_t a, unsigned char *b, unsigned long c, unsigned char *d, unsigned long *e), \
    (a, b, c, d, e)) \
  X(Sign, (ck_session_handle_t a, unsigned char *b, unsigned long c, unsigned char *d, unsigned long *e), \
    (a, b, c, d, e)) \
  X(GenerateKey, (ck_session_handle_t a, struct ck_mechanism *b, struct ck_attribute *c, unsigned long d, \
    ck_object_handle_t *e), (a, b, c, d, e)) \
  X(GenerateKeyPair, (ck_session_handle_t a, struct ck_mechanism *b, struct ck_attribute *c, unsigned long d, \
    struct ck_attribute *e, unsigned long f, ck_object_handle_t *g, ck_object_handle_t *h), (a, b, c, d, e, f, g, h)) \
  X(DeriveKey, (ck_session_handle_t a, struct ck_mechanism *b, ck_object_handle_t c, struct ck_attribute *d, \
    unsigned long e, ck_object_handle_t *f), (a, b, c, d, e, f))

#define CHANGED(X) \
  X(GetInfo, (struct ck_info *a), (a)) \
  X(GetSlotList, (unsigned char a, ck_slot_id_t *b, unsigned long *c), (a, b, c)) \
  X(GetSlotInfo, (ck_slot_id_t a, struct ck_slot_info *b), (a, b)) \
  X(GetTokenInfo, (ck_slot_id_t a, struct ck_token_info *b), (a, b)) \
  X(GetMechanismList, (ck_slot_id_t a, ck_mechanism_type_t *b, unsigned long *c), (a, b, c)) \
  X(GetMechanismInfo, (ck_slot_id_t a, ck_mechanism_type_t b, struct ck_mechanism_info *c), (a, b, c)) \
  X(WrapKey, (ck_session_handle_t a, struct ck_mechanism *b, ck_object_handle_t c, ck_object_handle_t d, \
    unsigned char *e, unsigned long *f), (a, b, c, d, e, f)) \
  X(UnwrapKey, (ck_session_handle_t a, struct ck_mechanism *b, ck_object_handle_t c, unsigned char *d, \
    unsigned long e, struct ck_attribute *f, unsigned long g, ck_object_handle_t *h), (a, b, c, d, e, f, g, h)) \
  X(SignInit, (ck_session_handle_t a, struct ck_mechanism *b, ck_object_handle_t c), (a, b, c))

#define FUNCTIONS(X) CHANGED(X) PLAIN(X)

#define INDEX(name, parameters, arguments) AT_##name,
enum { FUNCTIONS(INDEX) COUNT };
#define NAME(name, parameters, arguments) #name,
static const char *const names[] = { FUNCTIONS(NAME) };

/* What to do at the calls of a function: from the `first` one that comes on, `times` times. */
struct plan {
  atomic_long calls, first, times, after;
  atomic_ulong answer;
  atomic_int hangs;
};

static const unsigned long KILL = ~0UL;
static struct plan plans[COUNT];
static struct ck_function_list *real;
static atomic_ulong token_flags, slot_flags, mechanism_flags, swap_one, swap_other;
static atomic_ulong one_call_flags, one_call_instead;
static atomic_int removed, swap_all, one_call, readable;
static atomic_ulong last_key;
static char manufacturer[33], model[17], library[33];

/* Return whether the call is to be answered here, and with what; `late` ones are done by the real module first. */
static int planned(int at, int late, ck_rv_t *answer) {
  struct plan *plan = &plans[at];
  long call = late ? atomic_load(&plan->calls) : atomic_fetch_add(&plan->calls, 1) + 1;
  if (removed && at != AT_GetSlotList && at != AT_Initialize && at != AT_Finalize) {
    *answer = CKR_DEVICE_REMOVED;
    return 1;
  }
  if (plan->times == 0 || plan->after != late || call < plan->first || call >= plan->first + plan->times) return 0;
  while (plan->hangs) usleep(1000);
  if (plan->answer == KILL) kill(getpid(), SIGKILL);
  *answer = plan->answer;
  return 1;
}

static ck_object_handle_t swapped(ck_object_handle_t key) {
  if (swap_all && last_key != 0 && key != last_key) return last_key;
  if (!swap_all) last_key = key;
  if (swap_one == 0) return key;
  return key == swap_one ? swap_other : key == swap_other ? swap_one : key;
}

#define WRAPPER(name, parameters, arguments) \
  static ck_rv_t on_##name parameters { \
    ck_rv_t answer; \
    if (planned(AT_##name, 0, &answer)) return answer; \
    ck_rv_t result = forward_##name arguments; \
    if (planned(AT_##name, 1, &answer)) return answer; \
    return result; \
  }
#define FORWARDER(name, parameters, arguments) \
  static ck_rv_t forward_##name parameters { return real->C_##name arguments; }

PLAIN(FORWARDER)

static ck_rv_t forward_GetSlotList(unsigned char present, ck_slot_id_t *slots, unsigned long *count) {
  if (removed) {
    *count = 0;
    return CKR_OK;
  }
  return real->C_GetSlotList(present, slots, count);
}

static ck_rv_t forward_GetInfo(struct ck_info *info) {
  ck_rv_t result = real->C_GetInfo(info);
  if (manufacturer[0]) memcpy(info->manufacturer_id, manufacturer, 32);
  if (library[0]) memcpy(info->library_description, library, 32);
  return result;
}

static ck_rv_t forward_GetSlotInfo(ck_slot_id_t slot, struct ck_slot_info *info) {
  ck_rv_t result = real->C_GetSlotInfo(slot, info);
  info->flags |= slot_flags;
  if (manufacturer[0]) memcpy(info->manufacturer_id, manufacturer, 32);
  if (library[0]) memcpy(info->slot_description, library, 32);
  return result;
}

static ck_rv_t forward_GetTokenInfo(ck_slot_id_t slot, struct ck_token_info *info) {
  ck_rv_t result = real->C_GetTokenInfo(slot, info);
  info->flags |= token_flags;
  if (manufacturer[0]) memcpy(info->manufacturer_id, manufacturer, 32);
  if (model[0]) memcpy(info->model, model, 16);
  return result;
}

static ck_rv_t forward_GetMechanismList(ck_slot_id_t slot, ck_mechanism_type_t *types, unsigned long *count) {
  ck_rv_t result = real->C_GetMechanismList(slot, types, count);
  for (unsigned long at = 0; one_call_instead && types != NULL && result == CKR_OK && at < *count; at++)
    if (types[at] == one_call_instead) types[at] = CKM_RSA_AES_KEY_WRAP;
  return result;
}

static ck_rv_t forward_GetMechanismInfo(ck_slot_id_t slot, ck_mechanism_type_t type, struct ck_mechanism_info *info) {
  if (one_call_instead && type == CKM_RSA_AES_KEY_WRAP) {
    *info = (struct ck_mechanism_info){ .min_key_size = 512, .max_key_size = 16384, .flags = one_call_flags };
    return CKR_OK;
  }
  ck_rv_t result = real->C_GetMechanismInfo(slot, type, info);
  info->flags |= mechanism_flags;
  return result;
}

struct rsa_aes_key_wrap_params {
  unsigned long aes_key_bits;
  struct ck_rsa_pkcs_oaep_params *oaep;
};

static unsigned char yes = 1, no = 0;
static unsigned long aes_bytes = 32;
static struct ck_mechanism aes_kwp = { CKM_AES_KEY_WRAP_PAD, NULL, 0 };

/* Return whether the call is for CKM_RSA_AES_KEY_WRAP; `answer` is what to say otherwise, or to parameters that are
 * none of it, and CKR_OK where the real module is to be asked. */
static int is_one_call(struct ck_mechanism *mechanism, struct ck_mechanism *oaep, ck_rv_t *answer) {
  *answer = one_call && mechanism->mechanism == CKM_AES_KEY_WRAP_PAD ? CKR_MECHANISM_INVALID : CKR_OK;
  if (!one_call || mechanism->mechanism != CKM_RSA_AES_KEY_WRAP) return 0;
  struct rsa_aes_key_wrap_params *parameters = mechanism->parameter;
  if (mechanism->parameter_len != sizeof *parameters || parameters->aes_key_bits != aes_bytes * 8) {
    *answer = CKR_MECHANISM_PARAM_INVALID;
    return 0;
  }
  *oaep = (struct ck_mechanism){ CKM_RSA_PKCS_OAEP, parameters->oaep, sizeof *parameters->oaep };
  return 1;
}

static ck_rv_t forward_WrapKey(ck_session_handle_t session, struct ck_mechanism *mechanism, ck_object_handle_t under,
                               ck_object_handle_t key, unsigned char *wrapped, unsigned long *size) {
  struct ck_mechanism oaep, generation = { CKM_AES_KEY_GEN, NULL, 0 };
  ck_rv_t result;
  if (!is_one_call(mechanism, &oaep, &result))
    return result == CKR_OK ? real->C_WrapKey(session, mechanism, under, key, wrapped, size) : result;
  struct ck_attribute template[] = { { CKA_VALUE_LEN, &aes_bytes, sizeof aes_bytes }, { CKA_TOKEN, &no, 1 },
                                     { CKA_SENSITIVE, &yes, 1 }, { CKA_EXTRACTABLE, &yes, 1 }, { CKA_WRAP, &yes, 1 } };
  unsigned char whole[8192];
  unsigned long first = sizeof whole / 2, second = sizeof whole / 2;
  ck_object_handle_t kek;
  if ((result = real->C_GenerateKey(session, &generation, template, 5, &kek)) != CKR_OK) return result;
  result = real->C_WrapKey(session, &oaep, under, kek, whole, &first);
  if (result == CKR_OK) result = real->C_WrapKey(session, &aes_kwp, kek, key, whole + first, &second);
  real->C_DestroyObject(session, kek);
  if (result != CKR_OK) return result;
  if (wrapped != NULL && *size < first + second) return CKR_BUFFER_TOO_SMALL;
  if (wrapped != NULL) memcpy(wrapped, whole, first + second);
  *size = first + second;
  return CKR_OK;
}

static ck_rv_t forward_UnwrapKey(ck_session_handle_t session, struct ck_mechanism *mechanism, ck_object_handle_t under,
                                 unsigned char *wrapped, unsigned long size, struct ck_attribute *wanted,
                                 unsigned long count, ck_object_handle_t *key) {
  struct ck_mechanism oaep;
  struct ck_attribute template[32];
  ck_rv_t result;
  if (count > sizeof template / sizeof *template) return CKR_HOST_MEMORY;
  memcpy(template, wanted, count * sizeof *template);
  for (unsigned long at = 0; readable && at < count; at++)
    if (template[at].type == CKA_SENSITIVE) template[at].value = &no;
    else if (template[at].type == CKA_EXTRACTABLE) template[at].value = &yes;
  if (!is_one_call(mechanism, &oaep, &result))
    return result == CKR_OK
        ? real->C_UnwrapKey(session, mechanism, under, wrapped, size, template, count, key) : result;
  unsigned long class = CKO_SECRET_KEY, type = CKK_AES;
  struct ck_attribute of_kek[] = { { CKA_CLASS, &class, sizeof class }, { CKA_KEY_TYPE, &type, sizeof type },
                                   { CKA_TOKEN, &no, 1 }, { CKA_SENSITIVE, &yes, 1 }, { CKA_UNWRAP, &yes, 1 } };
  struct ck_attribute modulus = { CKA_MODULUS, NULL, 0 };
  ck_object_handle_t kek;
  if ((result = real->C_GetAttributeValue(session, under, &modulus, 1)) != CKR_OK) return result;
  if (size <= modulus.value_len) return CKR_WRAPPED_KEY_LEN_RANGE;
  result = real->C_UnwrapKey(session, &oaep, under, wrapped, modulus.value_len, of_kek, 5, &kek);
  if (result != CKR_OK) return result;
  result = real->C_UnwrapKey(session, &aes_kwp, kek, wrapped + modulus.value_len, size - modulus.value_len, template,
                             count, key);
  real->C_DestroyObject(session, kek);
  return result;
}

static ck_rv_t forward_SignInit(ck_session_handle_t session, struct ck_mechanism *mechanism, ck_object_handle_t key) {
  return real->C_SignInit(session, mechanism, swapped(key));
}

FUNCTIONS(WRAPPER)

static struct ck_function_list ours;
static ck_rv_t get_function_list(struct ck_function_list **list) {
  *list = &ours;
  return CKR_OK;
}

ck_rv_t C_GetFunctionList(struct ck_function_list **list) {
  if (real == NULL) {
    void *module = dlopen(getenv("PROXY_MODULE"), RTLD_NOW | RTLD_LOCAL);
    ck_rv_t (*get)(struct ck_function_list **) = module ? dlsym(module, "C_GetFunctionList") : NULL;
    if (get == NULL || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
    ours = *real;
    ours.C_GetFunctionList = get_function_list;
#define ENTRY(name, parameters, arguments) ours.C_##name = on_##name;
    FUNCTIONS(ENTRY)
  }
  return get_function_list(list);
}

static struct plan *plan_of(const char *name) {
  for (int at = 0; at < COUNT; at++)
    if (strcmp(names[at], name) == 0) return &plans[at];
  fprintf(stderr, "the proxy knows no function %s\n", name);
  abort();
}

/* Answer calls of a function with a CKR: `times` of them, the first of which is the `first` from now on. With `after`,
 * the real module does what it is asked for before that. */
void proxy_answer(const char *name, unsigned long answer, long first, long times, int after) {
  struct plan *plan = plan_of(name);
  plan->answer = answer;
  plan->after = after;
  plan->first = plan->calls + first;
  plan->times = times;
}

/* Let one call of a function hang until proxy_reset. */
void proxy_hang(const char *name) {
  plan_of(name)->hangs = 1;
  proxy_answer(name, CKR_GENERAL_ERROR, 1, 1, 0);
}

/* How often a function was called since proxy_reset. */
long proxy_calls(const char *name) { return plan_of(name)->calls; }

/* Let two keys sign in place of each other. */
void proxy_swap(unsigned long one, unsigned long other) {
  swap_one = one;
  swap_other = other;
}

/* Let the key that signed last sign in place of every other one. */
void proxy_swap_all(int swap) { swap_all = swap; }

/* Take the token out, or put it in again. */
void proxy_remove(int out) { removed = out; }

/* Add flags to what the token, the slot and the mechanisms say. */
void proxy_flags(unsigned long token, unsigned long slot, unsigned long mechanism) {
  token_flags = token;
  slot_flags = slot;
  mechanism_flags = mechanism;
}

/* List CKM_RSA_AES_KEY_WRAP, for the uses that the flags say. If it works, SoftHSM's AES-KWP is for the proxy alone, and
 * for nobody else; if it does not, the token has AES-KWP, and knows nothing of what it lists. */
void proxy_one_call(unsigned long flags, int works) {
  one_call_flags = flags;
  one_call = works;
  one_call_instead = works ? CKM_AES_KEY_WRAP_PAD : CKM_AES_KEY_WRAP;
}

/* Unwrap every key as a readable one, whatever the template says, as opencryptoki does. */
void proxy_readable(void) { readable = 1; }

/* Give token, slot and module other names; empty ones leave what they are. */
void proxy_names(const char *maker, const char *kind, const char *module) {
  snprintf(manufacturer, sizeof manufacturer, *maker ? "%-32s" : "%s", maker);
  snprintf(model, sizeof model, *kind ? "%-16s" : "%s", kind);
  snprintf(library, sizeof library, *module ? "%-32s" : "%s", module);
}

/* Do nothing from now on but forward. */
void proxy_reset(void) {
  for (int at = 0; at < COUNT; at++) {
    plans[at].hangs = 0;
    plans[at].times = 0;
    plans[at].calls = 0;
  }
  proxy_swap(0, 0);
  proxy_swap_all(0);
  last_key = 0;
  proxy_remove(0);
  proxy_flags(0, 0, 0);
  proxy_names("", "", "");
  one_call = 0;
  one_call_instead = 0;
  readable = 0;
}
