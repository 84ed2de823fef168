/* SPDX-License-Identifier: MIT */
/*
 * The store's tree of nodes, in versions. A version is a pointer to a root, counted; holding one keeps all that it
 * shows as it was. Changing a version copies the nodes on the way that another version shares, and only those: a tree
 * that nobody else holds is changed in place.
 *
 * Paths here are absolute and valid (path_valid).
 */
#ifndef DOMUS_STORE_TREE_H
#define DOMUS_STORE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_PATH_MAX 3072 /* XENSTORE_ABS_PATH_MAX */
#define STORE_PERMS_MAX 32

#define PERM_READ 1
#define PERM_WRITE 2

/* The first entry's domain owns the node and may do all; its access is what domains without an entry have. */
struct perm {
    uint16_t domid;
    uint8_t access;
};

struct node {
    uint32_t refs;
    uint32_t child_count, child_capacity;
    uint32_t value_length;
    uint32_t recent;              /* index of the child that was found last: often the next to be looked for */
    uint64_t generation;          /* of the last change to value or permissions */
    uint64_t children_generation; /* of the last child made or removed */
    uint64_t named;               /* a bit, domain_bit, for each domain that permissions here or below may name */
    struct node **children;       /* sorted by name */
    char *value;                  /* a NUL follows it */
    struct perm *perms;
    uint32_t perm_count;
    char name[];
};

/* Valid as an absolute path: characters, slashes, length. */
bool path_valid(const char *path);

/* A version that holds a root without children, owned by domain 0, no access for others. */
struct node *tree_new(void);
struct node *tree_ref(struct node *root);
void tree_unref(struct node *root);

/* The node at `path`, or NULL. Valid until the version changes. */
struct node *tree_find(struct node *root, const char *path);

/* The deepest node on the way to `path` that exists; *depth: how many names of the path led to it. */
struct node *tree_nearest(struct node *root, const char *path, unsigned int *depth);

/*
 * The node at `path`, ready to be changed, made together with its parents if missing. New nodes take the permissions of
 * their parent, with `owner` as the owner unless negative.
 */
struct node *tree_make(struct node **root, const char *path, int owner, uint64_t generation);

/* Remove `path`, which exists and is not "/", with all below it. */
void tree_remove(struct node **root, const char *path, uint64_t generation);

/* Of a node that tree_make returned. */
void node_set_value(struct node *node, const void *value, size_t length, uint64_t generation);

/* Set the permissions of `path`, which exists; returns its node. */
struct node *tree_set_perms(struct node **root, const char *path, const struct perm *perms, unsigned int count,
                            uint64_t generation);

/* Call `visit` for `node` and all below it, parents first; `path` is the path of `node`. */
typedef void (*node_visitor)(void *context, const char *path, const struct node *node);
void tree_walk(const struct node *node, const char *path, node_visitor visit, void *context);

/* Call `visit` for each node whose permissions name `domid`, parents first. */
void tree_walk_named(const struct node *root, uint16_t domid, node_visitor visit, void *context);

/* Take domain `domid` out of all permissions; what it owned becomes domain 0's. */
void tree_strip_domain(struct node **root, uint16_t domid, uint64_t generation);


#endif
