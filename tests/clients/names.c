/*
 * Answers lookups of one name from a file, so that a test can move the name without a DNS server or root.
 *
 * Loaded with LD_PRELOAD: every client looks names up with getaddrinfo(), Go and Python's gRPC if their environment
 * asks for it. HFG_NAME has the name, HFG_NAME_FILE the file with its address. Everything else, such as caches and
 * delays between lookups, is the client's own.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*lookup)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  const char *name = getenv("HFG_NAME"), *path = getenv("HFG_NAME_FILE");
  char address[64] = "";
  if (node && name && path && strcmp(node, name) == 0) {
    FILE *file = fopen(path, "r");
    if (!file) return EAI_AGAIN;
    if (!fgets(address, sizeof address, file)) address[0] = 0;
    fclose(file);
    node = address;
  }
  return ((lookup)dlsym(RTLD_NEXT, "getaddrinfo"))(node, service, hints, found);
}
