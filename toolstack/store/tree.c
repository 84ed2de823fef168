/* SPDX-License-Identifier: MIT */
/*
 * The store's versioned tree: see tree.h. Recursion is bounded by the length of a path.
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

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
    copy->child_count = copy->child_capacity = node->child_count;
    copy->children = xmemdup(node->children, node->child_count * sizeof(*node->children));
    for (uint32_t i = 0; i < node->child_count; i++)
        node->children[i]->refs++;
    return copy;
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

/* Where the child called name[0..length) is, or would be inserted (*found false). */
static uint32_t child_index(const struct node *node, const char *name, size_t length, bool *found)
{
    uint32_t low = 0, high = node->child_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const char *other = node->children[middle]->name;
        int order = strncmp(name, other, length);

        if (order == 0)
            order = other[length] ? -1 : 0;
        if (order == 0) {
            *found = true;
            return middle;
        }
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
    return child;
}

struct node *tree_make(struct node **root, const char *path, int owner, uint64_t generation, unsigned int *created)
{
    struct node *node = own(root);
    const char *name;
    size_t length;

    *created = 0;
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
            (*created)++;
        }
    }
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

void node_set_perms(struct node *node, const struct perm *perms, unsigned int count, uint64_t generation)
{
    struct perm *copy = xmemdup(perms, count * sizeof(*perms));

    free(node->perms);
    node->perms = copy;
    node->perm_count = count;
    node->generation = generation;
}

static bool names_domain(const struct node *node, uint16_t domid)
{
    for (uint32_t i = 0; i < node->perm_count; i++)
        if (node->perms[i].domid == domid)
            return true;
    return false;
}

/* Whether `node` or anything below it names the domain: what does not is left shared. */
static bool subtree_names_domain(const struct node *node, uint16_t domid)
{
    if (names_domain(node, domid))
        return true;
    for (uint32_t i = 0; i < node->child_count; i++)
        if (subtree_names_domain(node->children[i], domid))
            return true;
    return false;
}

void tree_strip_domain(struct node **root, uint16_t domid, uint64_t generation)
{
    struct node *node;
    uint32_t kept = 1;

    if (!subtree_names_domain(*root, domid))
        return;
    node = own(root);
    if (names_domain(node, domid)) {
        if (node->perms[0].domid == domid)
            node->perms[0].domid = 0;
        for (uint32_t i = 1; i < node->perm_count; i++)
            if (node->perms[i].domid != domid)
                node->perms[kept++] = node->perms[i];
        node->perm_count = kept;
        node->generation = generation;
    }
    for (uint32_t i = 0; i < node->child_count; i++)
        tree_strip_domain(&node->children[i], domid, generation);
}

/* tree_walk with the path in a buffer that has room for any: `length` of it is the node's. */
static void walk(const struct node *node, char *path, size_t length, node_visitor visit, void *context)
{
    visit(context, path, node);
    for (uint32_t i = 0; i < node->child_count; i++) {
        const char *name = node->children[i]->name;
        size_t at = length == 1 ? 0 : length;
        size_t name_length = strlen(name);

        path[at] = '/';
        memcpy(path + at + 1, name, name_length + 1);
        walk(node->children[i], path, at + 1 + name_length, visit, context);
        path[length] = '\0';
    }
}

void tree_walk(const struct node *node, const char *path, node_visitor visit, void *context)
{
    char buffer[STORE_PATH_MAX + 2];
    size_t length = strlen(path);

    memcpy(buffer, path, length + 1);
    walk(node, buffer, length, visit, context);
}
