/* SPDX-License-Identifier: MIT */
/*
 * Leftist heap. Along right links a path is at most log2(n + 1) long, and merging works along right
 * links only; that is the bound on every operation.
 */
#include <domus/lheap.h>

static unsigned int rank_of(const struct lheap_node *n)
{
    return n ? n->rank : 0;
}

/* Restores left >= right and the rank of n from its children's. True if the rank changed. */
static bool fix_node(struct lheap_node *n)
{
    unsigned int rank;

    if (rank_of(n->left) < rank_of(n->right)) {
        struct lheap_node *tmp = n->left;

        n->left = n->right;
        n->right = tmp;
    }
    rank = rank_of(n->right) + 1;
    if (rank == n->rank)
        return false;
    n->rank = rank;
    return true;
}

static struct lheap_node *merge(struct lheap_node *a, struct lheap_node *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (lheap_before(b->key, a->key)) {
        struct lheap_node *tmp = a;

        a = b;
        b = tmp;
    }
    a->right = merge(a->right, b);
    a->right->parent = a;
    fix_node(a);
    return a;
}

void lheap_insert(struct lheap *h, struct lheap_node *node)
{
    node->left = node->right = node->parent = NULL;
    node->rank = 1;
    h->root = merge(h->root, node);
    h->root->parent = NULL;
}

void lheap_remove(struct lheap *h, struct lheap_node *node)
{
    struct lheap_node *parent = node->parent;
    struct lheap_node *sub = merge(node->left, node->right);

    if (sub)
        sub->parent = parent;
    if (!parent)
        h->root = sub;
    else if (parent->left == node)
        parent->left = sub;
    else
        parent->right = sub;
    while (parent && fix_node(parent))
        parent = parent->parent;
    node->left = node->right = node->parent = NULL;
}

struct lheap_node *lheap_next(const struct lheap_node *node)
{
    const struct lheap_node *parent;

    if (node->left)
        return node->left;
    for (parent = node->parent; parent; node = parent, parent = parent->parent)
        if (parent->left == node && parent->right)
            return parent->right;
    return NULL;
}
