/* SPDX-License-Identifier: MIT */
/* Circular doubly linked lists whose links lie inside of the objects. The head is a link itself. */
#ifndef DOMUS_LIST_H
#define DOMUS_LIST_H

#include <domus/lib.h>

struct list_head {
    struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name)    { &(name), &(name) }
#define LIST_HEAD(name)         struct list_head name = LIST_HEAD_INIT(name)

/* What a removed link holds: any use of it faults (non-canonical addresses). */
#define LIST_POISON             ((struct list_head *)0xdead000000000100UL)

static inline void INIT_LIST_HEAD(struct list_head *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list_head *head)
{
    return READ_ONCE(head->next) == head;
}

static inline bool list_is_singular(const struct list_head *head)
{
    return !list_empty(head) && head->next == head->prev;
}

static inline void list_insert_between(struct list_head *entry, struct list_head *prev,
                                       struct list_head *next)
{
    entry->prev = prev;
    entry->next = next;
    prev->next = entry;
    next->prev = entry;
}

static inline void list_add(struct list_head *entry, struct list_head *head)
{
    list_insert_between(entry, head, head->next);
}

static inline void list_add_tail(struct list_head *entry, struct list_head *head)
{
    list_insert_between(entry, head->prev, head);
}

static inline void list_del(struct list_head *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
    entry->next = entry->prev = LIST_POISON;
}

static inline void list_del_init(struct list_head *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
    INIT_LIST_HEAD(entry);
}

static inline void list_move(struct list_head *entry, struct list_head *head)
{
    list_del(entry);
    list_add(entry, head);
}

static inline void list_move_tail(struct list_head *entry, struct list_head *head)
{
    list_del(entry);
    list_add_tail(entry, head);
}

/* Put all entries of list behind head and leave list empty. */
static inline void list_splice_init(struct list_head *list, struct list_head *head)
{
    if (!list_empty(list)) {
        list->next->prev = head;
        list->prev->next = head->next;
        head->next->prev = list->prev;
        head->next = list->next;
        INIT_LIST_HEAD(list);
    }
}

/* Put all entries of list before head (at the end of its list) and leave list empty. */
static inline void list_splice_tail_init(struct list_head *list, struct list_head *head)
{
    list_splice_init(list, head->prev);
}

#define list_entry(ptr, type, member)   container_of(ptr, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_last_entry(head, type, member)  list_entry((head)->prev, type, member)
#define list_first_entry_or_null(head, type, member) \
    (list_empty(head) ? NULL : list_first_entry(head, type, member))
#define list_next_entry(pos, member) list_entry((pos)->member.next, __typeof__(*(pos)), member)
#define list_prev_entry(pos, member) list_entry((pos)->member.prev, __typeof__(*(pos)), member)

#define list_for_each(pos, head) \
    for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)
#define list_for_each_safe(pos, n, head) \
    for ((pos) = (head)->next, (n) = (pos)->next; (pos) != (head); (pos) = (n), (n) = (pos)->next)

#define list_for_each_entry(pos, head, member)                                  \
    for ((pos) = list_first_entry(head, __typeof__(*(pos)), member);            \
         &(pos)->member != (head);                                              \
         (pos) = list_next_entry(pos, member))
#define list_for_each_entry_reverse(pos, head, member)                          \
    for ((pos) = list_last_entry(head, __typeof__(*(pos)), member);             \
         &(pos)->member != (head);                                              \
         (pos) = list_prev_entry(pos, member))
/* pos may be removed in the body. */
#define list_for_each_entry_safe(pos, n, head, member)                          \
    for ((pos) = list_first_entry(head, __typeof__(*(pos)), member),            \
         (n) = list_next_entry(pos, member);                                    \
         &(pos)->member != (head);                                              \
         (pos) = (n), (n) = list_next_entry(n, member))

#endif
