/* SPDX-License-Identifier: MIT */
/*
 * The store's versioned tree: see tree.h. Recursion is bounded by the length of a path.
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/bytes.h"

bool path_valid(const char *path)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/_@";
    size_t length = strlen(path);

    if (path[0] != '/' || length > STORE_PATH_MAX)
        return false;
    if (length > 1 && path[length - 1] == '/')
        return false;
    return strspn(path, allowed) == length && !strstr(path, "//");
}

static struct node *node_new(const char *name, size_t name_length)
{
    struct node *node = xcalloc(1, sizeof(*node) + name_length + 1);

    node->refs = 1;
    memcpy(node->name, name, name_length);
    node->value = xcalloc(1, 1);
    return node;
}

static struct node *node_clone(const struct node *node)
{
    struct node *copy = node_new(node->name, strlen(node->name));

    free(copy->value);
    copy->value = xmemdup(node->value, node->value_length + 1);
    copy->value_length = node->value_length;
    copy->perms = xmemdup(node->perms, node->perm_count * sizeof(*node->perms));
    copy->perm_count = node->perm_count;
    copy->generation = node->generation;
    copy->children_generation = node->children_generation;
    copy->named = node->named;
    copy->child_count = copy->child_capacity = node->child_count;
    copy->children = xmemdup(node->children, node->child_count * sizeof(*node->children));
    for (uint32_t i = 0; i < node->child_count; i++)
        node->children[i]->refs++;
    return copy;
}

static uint64_t domain_bit(uint16_t domid)
{
    return domid ? 2ULL << (domid - 1) % 63 : 1;
}

static uint64_t perms_bits(const struct perm *perms, unsigned int count)
{
    uint64_t bits = 0;

    for (unsigned int i = 0; i < count; i++)
        bits |= domain_bit(perms[i].domid);
    return bits;
}

/* The bits of what is above the node are its caller's business. */
static void node_set_perms(struct node *node, const struct perm *perms, unsigned int count, uint64_t generation)
{
    struct perm *copy = xmemdup(perms, count * sizeof(*perms));

    free(node->perms);
    node->perms = copy;
    node->perm_count = count;
    node->generation = generation;
    node->named |= perms_bits(perms, count);
}

struct node *tree_new(void)
{
    static const struct perm none = { .domid = 0, .access = 0 };
    struct node *root = node_new("", 0);

    node_set_perms(root, &none, 1, 0);
    return root;
}

struct node *tree_ref(struct node *root)
{
    root->refs++;
    return root;
}

void tree_unref(struct node *root)
{
    if (!root || --root->refs > 0)
        return;
    for (uint32_t i = 0; i < root->child_count; i++)
        tree_unref(root->children[i]);
    free(root->children);
    free(root->value);
    free(root->perms);
    free(root);
}

/* Make *slot a node that nobody else holds. */
static struct node *own(struct node **slot)
{
    struct node *node = *slot;

    if (node->refs > 1) {
        *slot = node_clone(node);
        node->refs--;
    }
    return *slot;
}

/* Order of name[0..length) and the name of a child. */
static int compare(const char *name, size_t length, const struct node *child)
{
    int order = strncmp(name, child->name, length);

    return order ? order : child->name[length] ? -1 : 0;
}

/* Where the child called name[0..length) is, or would be inserted (*found false). */
static uint32_t child_index(struct node *node, const char *name, size_t length, bool *found)
{
    uint32_t low = 0, high = node->child_count;

    *found = true;
    if (node->recent < high && !compare(name, length, node->children[node->recent]))
        return node->recent;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = compare(name, length, node->children[middle]);

        if (order == 0)
            return node->recent = middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    *found = false;
    return low;
}

/* The next name of a path: *length characters at the result; NULL at its end. *path moves on. */
static const char *next_name(const char **path, size_t *length)
{
    const char *name = *path;

    while (*name == '/')
        name++;
    if (!*name)
        return NULL;
    *length = strcspn(name, "/");
    *path = name + *length;
    return name;
}

struct node *tree_nearest(struct node *root, const char *path, unsigned int *depth)
{
    const char *name;
    size_t length;

    *depth = 0;
    while ((name = next_name(&path, &length))) {
        bool found;
        uint32_t index = child_index(root, name, length, &found);

        if (!found)
            break;
        root = root->children[index];
        (*depth)++;
    }
    return root;
}

struct node *tree_find(struct node *root, const char *path)
{
    const char *name;
    size_t length;

    while ((name = next_name(&path, &length))) {
        bool found;
        uint32_t index = child_index(root, name, length, &found);

        if (!found)
            return NULL;
        root = root->children[index];
    }
    return root;
}

static struct node *insert_child(struct node *parent, uint32_t index, const char *name, size_t length)
{
    struct node *child = node_new(name, length);

    if (parent->child_count == parent->child_capacity) {
        parent->child_capacity = parent->child_capacity * 2 + 4;
        parent->children = xrealloc(parent->children, parent->child_capacity * sizeof(*parent->children));
    }
    memmove(&parent->children[index + 1], &parent->children[index],
            (parent->child_count - index) * sizeof(*parent->children));
    parent->children[index] = child;
    parent->child_count++;
    parent->recent = index;
    return child;
}

/* tree_make; `bits` are of domains that the nodes made, or the one at the end, are to name. */
static struct node *make(struct node **root, const char *path, int owner, uint64_t bits, uint64_t generation)
{
    struct node *node = own(root);
    const char *name;
    size_t length;

    node->named |= bits;
    while ((name = next_name(&path, &length))) {
        bool found;
        uint32_t index = child_index(node, name, length, &found);

        if (found) {
            node = own(&node->children[index]);
        } else {
            struct node *child = insert_child(node, index, name, length);

            node_set_perms(child, node->perms, node->perm_count, generation);
            if (owner >= 0)
                child->perms[0].domid = owner;
            child->children_generation = generation;
            node->children_generation = generation;
            node = child;
        }
        node->named |= bits;
    }
    return node;
}

struct node *tree_make(struct node **root, const char *path, int owner, uint64_t generation)
{
    return make(root, path, owner, owner >= 0 ? domain_bit(owner) : 0, generation);
}

struct node *tree_set_perms(struct node **root, const char *path, const struct perm *perms, unsigned int count,
                            uint64_t generation)
{
    struct node *node = make(root, path, -1, perms_bits(perms, count), generation);

    node_set_perms(node, perms, count, generation);
    return node;
}

void tree_remove(struct node **root, const char *path, uint64_t generation)
{
    struct node *parent = NULL, *node = own(root);
    uint32_t index = 0;
    const char *name;
    size_t length;

    while ((name = next_name(&path, &length))) {
        bool found;

        if (parent)
            node = own(&parent->children[index]);
        parent = node;
        index = child_index(parent, name, length, &found);
        if (!found)
            return;
    }
    if (!parent)
        return;
    tree_unref(parent->children[index]);
    memmove(&parent->children[index], &parent->children[index + 1],
            (parent->child_count - index - 1) * sizeof(*parent->children));
    parent->child_count--;
    parent->children_generation = generation;
}

void node_set_value(struct node *node, const void *value, size_t length, uint64_t generation)
{
    char *copy = xmalloc(length + 1);

    if (length)
        memcpy(copy, value, length);
    copy[length] = '\0';
    free(node->value);
    node->value = copy;
    node->value_length = length;
    node->generation = generation;
}

static bool names_domain(const struct node *node, uint16_t domid)
{
    for (uint32_t i = 0; i < node->perm_count; i++)
        if (node->perms[i].domid == domid)
            return true;
    return false;
}

/* A walk, with the path at hand in a buffer that has room for any. */
struct walk {
    char path[STORE_PATH_MAX + 2];
    node_visitor visit;
    void *context;
    bool named;     /* only nodes that name this domain */
    uint16_t domid;
};

/* Go through `node`, whose path has this length. */
static void walk_from(struct walk *walk, const struct node *node, size_t length)
{
    char *path = walk->path;

    if (!walk->named || names_domain(node, walk->domid))
        walk->visit(walk->context, path, node);
    for (uint32_t i = 0; i < node->child_count; i++) {
        const struct node *child = node->children[i];
        size_t at = length == 1 ? 0 : length;
        size_t name_length;

        if (walk->named && !(child->named & domain_bit(walk->domid)))
            continue;
        name_length = strlen(child->name);
        path[at] = '/';
        memcpy(path + at + 1, child->name, name_length + 1);
        walk_from(walk, child, at + 1 + name_length);
        path[length] = '\0';
    }
}

void tree_walk(const struct node *node, const char *path, node_visitor visit, void *context)
{
    struct walk walk;

    walk.visit = visit;
    walk.context = context;
    walk.named = false;
    strcpy(walk.path, path);
    walk_from(&walk, node, strlen(path));
}

void tree_walk_named(const struct node *root, uint16_t domid, node_visitor visit, void *context)
{
    struct walk walk;

    walk.visit = visit;
    walk.context = context;
    walk.named = true;
    walk.domid = domid;
    strcpy(walk.path, "/");
    walk_from(&walk, root, 1);
}

static void find_named(void *context, const char *path, const struct node *node)
{
    (void)node;
    bytes_append(context, path, strlen(path) + 1);
}

void tree_strip_domain(struct node **root, uint16_t domid, uint64_t generation)
{
    struct bytes paths = { 0 }; /* each with its NUL */

    tree_walk_named(*root, domid, find_named, &paths);
    while (bytes_length(&paths) > 0) {
        const char *path = (const char *)bytes_front(&paths);
        struct node *node = tree_make(root, path, -1, generation);
        uint32_t kept = 1;

        if (node->perms[0].domid == domid)
            node->perms[0].domid = 0;
        for (uint32_t i = 1; i < node->perm_count; i++)
            if (node->perms[i].domid != domid)
                node->perms[kept++] = node->perms[i];
        node->perm_count = kept;
        node->generation = generation;
        bytes_drop(&paths, strlen(path) + 1);
    }
    bytes_clear(&paths);
}
