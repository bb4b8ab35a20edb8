// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/oniN-stim and /dev/oniN-stop: ioctls and files of the interlock.
 *
 * A handler has a kernel copy of its argument, is inside the gate, and takes
 * oni_stim::lock itself. Everything that it can refuse is checked before it
 * changes anything; a refusal is counted and told, and its reason goes back in the
 * verdict. Private data of both files is the controller, which the node holds.
 *
 * Memory of the caller that cannot be read or written must not make anything less safe.
 * What leads towards a current gives its answer first and does nothing if that cannot be
 * written; what leads away from one is done whatever became of its argument.
 */
#include <crypto/sha2.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/poll.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "oni_internal.h"

/* Period of 1 mHz. */
#define MHZ_NS			1000000000000ULL

#define PROGRAM_ROWS_MAX	(ONI_STIM_CHIPS * ONI_STIM_SLOTS)

const char *const oni_stim_state_names[] = {
	[ONI_STIM_SAFE] = "safe",
	[ONI_STIM_CLAIMED] = "claimed",
	[ONI_STIM_LOADED] = "loaded",
	[ONI_STIM_ARMED] = "armed",
	[ONI_STIM_FAULT] = "fault",
};

/* --- refusals -------------------------------------------------------------- */

static struct oni_stim_verdict *verdict(struct oni_stim_verdict *v, u32 code,
					u64 asked, u64 allowed)
{
	*v = (struct oni_stim_verdict){
		.code = code,
		.contact = ONI_STIM_NO_CONTACT,
		.asked = asked,
		.allowed = allowed,
		.source = ONI_STIM_BY_HARDWARE,
	};
	return v;
}

/* @v says why. Caller holds stim->lock. */
static int refuse(struct oni_ioctl_ctx *ctx, u32 nr,
		  const struct oni_stim_verdict *v)
{
	oni_stim_refused(ctx->dev, nr, v);
	ctx->results = true;
	if (v->code == ONI_STIM_BUSY)
		return -EBUSY;
	return v->code < ONI_STIM_NO_POLICY ? -ERANGE : -EPERM;
}

static bool is_owner(const struct oni_stim *stim, const struct file *file)
{
	return stim->pid && stim->file == file &&
	       stim->pid == task_tgid(current) && stim->mm == current->mm;
}

/* The thread would see it at its next look; who calls before that is not awaited. */
static void end_after_exec(struct oni_ioctl_ctx *ctx)
{
	struct oni_stim *stim = &ctx->dev->stim;

	if (stim->pid && stim->file == ctx->file &&
	    stim->pid == task_tgid(current) && stim->mm != current->mm)
		oni_stim_end(ctx->dev, ctx->link, ONI_STIM_BECAUSE_EXEC);
}

static struct oni_stim_verdict *not_owner(const struct oni_stim *stim,
					  struct oni_stim_verdict *v)
{
	return verdict(v, ONI_STIM_NOT_OWNER, task_tgid_vnr(current),
		       pid_vnr(stim->pid));
}

/* Is it the owner who asks, in this session? */
static bool in_session(struct oni_ioctl_ctx *ctx, u64 nonce,
		       struct oni_stim_verdict *v)
{
	struct oni_stim *stim = &ctx->dev->stim;

	end_after_exec(ctx);
	if (!is_owner(stim, ctx->file)) {
		not_owner(stim, v);
		return false;
	}
	if (nonce != stim->nonce) {
		/* The right one is nobody's business but the owner's. */
		verdict(v, ONI_STIM_NONCE, nonce, 0);
		return false;
	}
	if (stim->state == ONI_STIM_FAULT) {
		verdict(v, ONI_STIM_FAULTED, 0, 0);
		v->where = stim->because;
		return false;
	}
	return true;
}

static bool in_state(struct oni_stim *stim, u32 least, u32 most,
		     struct oni_stim_verdict *v)
{
	if (stim->state >= least && stim->state <= most)
		return true;
	verdict(v, ONI_STIM_STATE, least, stim->state);
	return false;
}

static int lock(struct oni_stim *stim)
{
	return mutex_lock_interruptible(&stim->lock) ? -EINTR : 0;
}

/* The answer of a call that will be done, @v inside of its @arg. A refusal follows. */
static int answer(struct oni_ioctl_ctx *ctx, const void *arg,
		  struct oni_stim_verdict *v)
{
	*v = (struct oni_stim_verdict){ .contact = ONI_STIM_NO_CONTACT };
	return oni_ioctl_answer(ctx, arg);
}

/*
 * The frame of every call: what must be zero is looked at, the answer given if it has a
 * verdict @v, the lock is held.
 */
static int locked(struct oni_ioctl_ctx *ctx, bool must_be_zero, void *arg,
		  struct oni_stim_verdict *v,
		  int (*fn)(struct oni_ioctl_ctx *ctx, void *arg))
{
	int ret;

	if (must_be_zero)
		return -EINVAL;
	ret = v ? answer(ctx, arg, v) : 0;
	if (!ret)
		ret = lock(&ctx->dev->stim);
	if (ret)
		return ret;
	ret = fn(ctx, arg);
	mutex_unlock(&ctx->dev->stim.lock);
	return ret;
}

/* --- policy ------------------------------------------------------------------ */

static const struct oni_stim_class no_class;

static const struct oni_stim_class *class_of(const struct oni_stim_policy *p,
					     u32 contact)
{
	return p->class_of[contact] ? &p->cls[p->class_of[contact] - 1] :
				      &no_class;
}

/* Nothing in @policy is above what is in force; otherwise @v says what. */
static bool only_down(const struct oni_stim_policy *now,
		      const struct oni_stim_policy *policy,
		      struct oni_stim_verdict *v)
{
	const struct oni_stim_class *a, *b;
	u32 c, i;

	/* Another window, or fewer readings, cannot be compared with it. */
	if (policy->duty_window_ns != now->duty_window_ns ||
	    now->hs64_readings & ~policy->hs64_readings) {
		verdict(v, ONI_STIM_RAISE, policy->duty_window_ns,
			now->duty_window_ns);
		v->where = ONI_STIM_DUTY;
		return false;
	}
	for (c = 0; c <= ONI_STIM_RETURN; c++) {
		a = class_of(policy, c);
		b = class_of(now, c);
		for (i = 0; i < ONI_STIM_LIMITS; i++)
			if (a->max[i] > b->max[i]) {
				verdict(v, ONI_STIM_RAISE, a->max[i], b->max[i]);
				v->contact = c;
				v->where = i;
				v->source = b->source[i];
				return false;
			}
	}
	return true;
}

/* Whose the ceilings are is for the kernel to say; so is full scale. */
static void own(struct oni_stim_policy *p, u8 source)
{
	u32 n, i;

	for (n = 0; n < ONI_STIM_CLASSES; n++) {
		struct oni_stim_class *c = &p->cls[n];
		/* Where all currents meet there is more than one full scale. */
		u32 where = p->class_of[ONI_STIM_RETURN] == n + 1 ?
			    ONI_STIM_RETURN : 0;

		memset(c->source, 0, sizeof(c->source));
		for (i = 0; i < ONI_STIM_LIMITS && n < p->classes; i++) {
			u64 most = oni_stim_hard_limit(i, where);

			c->source[i] = source;
			if (c->max[i] > most) {
				c->max[i] = most;
				c->source[i] = ONI_STIM_BY_HARDWARE;
			}
		}
	}
}

/* A ceiling that has not changed stays whose it was. */
static void keep_sources(struct oni_stim_policy *p,
			 const struct oni_stim_policy *was)
{
	const struct oni_stim_class *old;
	u32 c, i;

	for (c = 0; c <= ONI_STIM_RETURN; c++) {
		if (!p->class_of[c])
			continue;
		old = class_of(was, c);
		for (i = 0; i < ONI_STIM_LIMITS; i++)
			if (p->cls[p->class_of[c] - 1].max[i] == old->max[i])
				p->cls[p->class_of[c] - 1].source[i] =
					old->source[i];
	}
}

static struct oni_stim_policy *policy_from_user(struct oni_ioctl_ctx *ctx,
						u64 uptr)
{
	struct oni_stim_policy *p;
	int ret;

	p = kmalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return ERR_PTR(-ENOMEM);
	ret = oni_ioctl_copy_in(ctx, p, u64_to_user_ptr(uptr), sizeof(*p));
	if (!ret && p->size != sizeof(*p))
		ret = -EINVAL;
	if (ret) {
		kfree(p);
		return ERR_PTR(ret);
	}
	return p;
}

static void install_policy(struct oni_dev *dev, const struct oni_stim_policy *p,
			   u32 what)
{
	struct oni_stim *stim = &dev->stim;

	stim->policy = *p;
	stim->has_policy = true;
	sha256((const u8 *)p, sizeof(*p), stim->policy_hash);
	oni_stim_event(dev, what, 0);
}

static int set_policy(struct oni_ioctl_ctx *ctx,
		      struct oni_stim_policy_arg *arg, struct oni_stim_policy *p)
{
	struct oni_stim *stim = &ctx->dev->stim;
	struct oni_stim_verdict *v = &arg->verdict;

	own(p, ONI_STIM_BY_POLICY);
	if (!capable(CAP_SYS_ADMIN))
		return refuse(ctx, ONI_STIM_IOC_POLICY,
			      verdict(v, ONI_STIM_NOT_OWNER, 0, 0));
	if (!oni_stim_policy_ok(p, v))
		return refuse(ctx, ONI_STIM_IOC_POLICY, v);
	oni_fw_limit(&ctx->dev->fw, arg->hub, p);
	if (stim->pid)
		return refuse(ctx, ONI_STIM_IOC_POLICY,
			      verdict(v, ONI_STIM_STATE, ONI_STIM_SAFE,
				      stim->state));
	if (stim->has_policy) {
		if (!only_down(&stim->policy, p, v))
			return refuse(ctx, ONI_STIM_IOC_POLICY, v);
		if (stim->policy_hub && arg->hub != stim->policy_hub)
			return refuse(ctx, ONI_STIM_IOC_POLICY,
				      verdict(v, ONI_STIM_RAISE, arg->hub,
					      stim->policy_hub));
		keep_sources(p, &stim->policy);
	}
	/* A log that was wanted stays wanted. */
	stim->policy_flags |= arg->flags;
	stim->policy_hub = arg->hub;
	install_policy(ctx->dev, p, ONI_STIM_EV_POLICY);
	return 0;
}

static int lower_policy(struct oni_ioctl_ctx *ctx,
			struct oni_stim_policy_arg *arg,
			struct oni_stim_policy *p)
{
	struct oni_stim *stim = &ctx->dev->stim;
	struct oni_stim_verdict *v = &arg->verdict;

	own(p, ONI_STIM_BY_RUNTIME);
	if (!oni_stim_policy_ok(p, v))
		return refuse(ctx, ONI_STIM_IOC_LOWER, v);
	if (!is_owner(stim, ctx->file))
		return refuse(ctx, ONI_STIM_IOC_LOWER, not_owner(stim, v));
	if (stim->state == ONI_STIM_ARMED)
		return refuse(ctx, ONI_STIM_IOC_LOWER,
			      verdict(v, ONI_STIM_STATE, ONI_STIM_LOADED,
				      stim->state));
	if (!only_down(&stim->policy, p, v))
		return refuse(ctx, ONI_STIM_IOC_LOWER, v);
	keep_sources(p, &stim->policy);
	install_policy(ctx->dev, p, ONI_STIM_EV_LOWER);
	return 0;
}

static bool policy_arg_ok(const struct oni_stim_policy_arg *arg, u32 flags)
{
	return !(arg->flags & ~flags) && arg->hub <= 0xff &&
	       !memchr_inv(arg->reserved, 0, sizeof(arg->reserved));
}

static int with_policy(struct oni_ioctl_ctx *ctx, struct oni_stim_policy_arg *arg,
		       int (*fn)(struct oni_ioctl_ctx *ctx,
				 struct oni_stim_policy_arg *arg,
				 struct oni_stim_policy *p))
{
	struct oni_stim_policy *p = policy_from_user(ctx, arg->policy);
	int ret;

	if (IS_ERR(p))
		return PTR_ERR(p);
	ret = answer(ctx, arg, &arg->verdict);
	if (!ret)
		ret = lock(&ctx->dev->stim);
	if (!ret) {
		ret = fn(ctx, arg, p);
		mutex_unlock(&ctx->dev->stim.lock);
	}
	kfree(p);
	return ret;
}

static int ioc_policy(struct oni_ioctl_ctx *ctx, void *arg)
{
	if (!policy_arg_ok(arg, ONI_STIM_POLICY_AUDIT))
		return -EINVAL;
	return with_policy(ctx, arg, set_policy);
}

static int ioc_lower(struct oni_ioctl_ctx *ctx, void *arg)
{
	if (!policy_arg_ok(arg, 0))
		return -EINVAL;
	return with_policy(ctx, arg, lower_policy);
}

static int ioc_limits(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_policy_arg *arg = argp;
	struct oni_stim *stim = &ctx->dev->stim;
	struct oni_stim_policy *p;
	int ret;

	if (!policy_arg_ok(arg, 0))
		return -EINVAL;
	p = kmalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return -ENOMEM;
	ret = lock(stim);
	if (ret)
		goto out;
	*p = stim->policy;
	arg->hub = stim->policy_hub;
	ret = stim->has_policy ? 0 : -ENODATA;
	mutex_unlock(&stim->lock);
	if (!ret && oni_ioctl_copy_out(ctx, u64_to_user_ptr(arg->policy), p,
				       sizeof(*p)) == -EFAULT)
		ret = -EFAULT;
out:
	kfree(p);
	return ret;
}

/* --- status, claim ------------------------------------------------------------- */

static u32 left_ms(u64 until)
{
	u64 now = ktime_get_boottime_ns();

	return until > now ? div_u64(until - now, NSEC_PER_MSEC) : 0;
}

static int status(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_status *s = argp;
	struct oni_dev *dev = ctx->dev;
	struct oni_stim *stim = &dev->stim;
	bool armed = stim->state == ONI_STIM_ARMED;

	*s = (struct oni_stim_status){
		.size = s->size,
		.state = stim->state,
		.because = stim->because,
		.owner = pid_vnr(stim->pid),
		.watchdog_ms = armed ? left_ms(stim->dog_ns) : 0,
		.ttl_ms = armed ? left_ms(stim->ttl_ns) : 0,
		.fires = stim->fires,
		.delivered = stim->delivered,
		.refusals = atomic64_read(&stim->refusals),
		.stops = stim->stops,
		.faults = stim->faults,
	};
	if (stim->has_policy)
		s->flags |= ONI_STIM_HAS_POLICY;
	if (oni_stim_audited(dev))
		s->flags |= ONI_STIM_HAS_AUDIT;
	if (stim->policy_flags & ONI_STIM_POLICY_AUDIT)
		s->flags |= ONI_STIM_NEEDS_AUDIT;
	if (is_owner(stim, ctx->file))
		s->flags |= ONI_STIM_IS_OWNER;
	if (stim->confirmed)
		s->flags |= ONI_STIM_CONFIRMED;
	if (stim->playing)
		s->flags |= ONI_STIM_PLAYING;
	if (stim->loaded) {
		s->hub = stim->loaded->hub;
		memcpy(s->program, stim->loaded->hash, sizeof(s->program));
	}
	memcpy(s->policy, stim->policy_hash, sizeof(s->policy));
	return 0;
}

static int ioc_status(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_status *s = argp;

	return locked(ctx, memchr_inv(s->reserved, 0, sizeof(s->reserved)), s,
		      NULL, status);
}

static bool may_claim(struct oni_stim *stim, struct oni_stim_verdict *v)
{
	if (stim->pid) {
		verdict(v, ONI_STIM_BUSY, task_tgid_vnr(current),
			pid_vnr(stim->pid));
	} else if (stim->state == ONI_STIM_FAULT) {
		verdict(v, ONI_STIM_FAULTED, 0, 0);
		v->where = stim->because;
	} else if (!stim->has_policy) {
		verdict(v, ONI_STIM_NO_POLICY, 0, 0);
	} else if (stim->suspended || stim->leaving) {
		verdict(v, ONI_STIM_INHIBITED, 0, 0);
	} else if (!stim->confirmed) {
		verdict(v, ONI_STIM_NOT_SAFE, 0, 0);
	} else {
		return true;
	}
	return false;
}

static int claim(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_claim *arg = argp;
	struct oni_stim *stim = &ctx->dev->stim;
	u64 nonce = arg->nonce;
	int ret;

	/* Of no use to somebody who is refused. */
	arg->nonce = 0;
	if (!may_claim(stim, &arg->verdict))
		return refuse(ctx, ONI_STIM_IOC_CLAIM, &arg->verdict);
	ret = oni_stim_watch_begin(ctx->dev);
	if (ret)
		return ret;
	stim->file = ctx->file;
	stim->pid = get_pid(task_tgid(current));
	stim->mm = current->mm;
	mmgrab(stim->mm);
	stim->nonce = nonce;
	stim->session++;
	stim->state = ONI_STIM_CLAIMED;
	stim->because = ONI_STIM_BECAUSE_NOTHING;
	oni_stim_event(ctx->dev, ONI_STIM_EV_CLAIM, 0);
	oni_stim_poke(ctx->dev);
	return 0;
}

static int ioc_claim(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_claim *arg = argp;

	do {
		arg->nonce = get_random_u64();
	} while (!arg->nonce);
	return locked(ctx, arg->flags || arg->reserved[0] || arg->reserved[1], arg,
		      &arg->verdict, claim);
}

/* --- programs ---------------------------------------------------------------------- */

static int read_program(struct oni_ioctl_ctx *ctx, struct oni_stim_loaded *l,
			const struct oni_stim_load *arg)
{
	size_t rows = arg->nrows * sizeof(l->rows[0]);
	u8 *all;
	int ret;

	l->hub = arg->hub;
	l->nrows = arg->nrows;
	ret = oni_ioctl_copy_in(ctx, &l->program, u64_to_user_ptr(arg->program),
				sizeof(l->program));
	if (!ret && rows)
		ret = oni_ioctl_copy_in(ctx, l->rows, u64_to_user_ptr(arg->rows),
					rows);
	if (ret)
		return ret;
	if (l->program.size != sizeof(l->program))
		return -EINVAL;

	all = kvmalloc(sizeof(l->program) + rows, GFP_KERNEL_ACCOUNT);
	if (!all)
		return -ENOMEM;
	memcpy(all, &l->program, sizeof(l->program));
	memcpy(all + sizeof(l->program), l->rows, rows);
	sha256(all, sizeof(l->program) + rows, l->hash);
	kvfree(all);
	return 0;
}

/* A copy of the program, which nobody can change any more. */
static struct oni_stim_loaded *program_from_user(struct oni_ioctl_ctx *ctx,
						 const struct oni_stim_load *arg)
{
	struct oni_stim_loaded *l;
	int ret;

	if (arg->flags || arg->reserved || arg->nrows > PROGRAM_ROWS_MAX ||
	    !arg->hub || arg->hub > 0xff)
		return ERR_PTR(-EINVAL);
	l = kvzalloc(struct_size(l, rows, arg->nrows), GFP_KERNEL_ACCOUNT);
	if (!l)
		return ERR_PTR(-ENOMEM);
	ret = read_program(ctx, l, arg);
	if (ret) {
		kvfree(l);
		return ERR_PTR(ret);
	}
	return l;
}

/* Caller holds stim->lock. */
static bool judge(struct oni_dev *dev, struct oni_stim_loaded *l,
		  struct oni_stim_verdict *v)
{
	struct oni_stim *stim = &dev->stim;

	/* A policy for any headstage says nothing about one that may have none. */
	if (!oni_fw_allows(&dev->fw, l->hub)) {
		verdict(v, ONI_STIM_NO_STIMULATOR, l->hub, 0);
		v->source = ONI_STIM_BY_FIRMWARE;
		return false;
	}
	if (!stim->has_policy ||
	    (stim->policy_hub && stim->policy_hub != l->hub)) {
		verdict(v, ONI_STIM_NO_POLICY, l->hub, stim->policy_hub);
		return false;
	}
	if (!oni_stim_check(&stim->policy, &l->program, l->rows, l->nrows, v))
		return false;
	oni_stim_measure(&l->program, l->rows, &l->train);
	return true;
}

static int ioc_check(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_load *arg = argp;
	struct oni_stim *stim = &ctx->dev->stim;
	struct oni_stim_loaded *l = program_from_user(ctx, arg);
	int ret;

	if (IS_ERR(l))
		return PTR_ERR(l);
	ret = lock(stim);
	if (ret)
		goto out;
	/* A question, not a try: nobody needs to be told. */
	if (!judge(ctx->dev, l, &arg->verdict))
		ret = arg->verdict.code < ONI_STIM_NO_POLICY ? -ERANGE : -EPERM;
	mutex_unlock(&stim->lock);
	memcpy(arg->hash, l->hash, sizeof(arg->hash));
	ctx->results = true;
out:
	kvfree(l);
	return ret;
}

/* Write what is loaded; whatever goes wrong, it is off again. */
static int into_hardware(struct oni_ioctl_ctx *ctx, u32 nr,
			 struct oni_stim_verdict *v)
{
	struct oni_stim *stim = &ctx->dev->stim;
	int ret;

	stim->in_hardware = true;
	ret = oni_stim_write(ctx->dev, ctx->link, v);
	if (!ret) {
		stim->confirmed = true;
		return 0;
	}
	oni_stim_drop(ctx->dev, ctx->link, ONI_STIM_BECAUSE_LOAD);
	if (ret == -EPERM)
		return refuse(ctx, nr, v);
	if (ret != -EINTR && stim->state != ONI_STIM_FAULT)
		oni_stim_fault(ctx->dev, ctx->link, ONI_STIM_BECAUSE_LINK);
	return ret;
}

static int load(struct oni_ioctl_ctx *ctx, struct oni_stim_load *arg,
		struct oni_stim_loaded **l)
{
	struct oni_stim *stim = &ctx->dev->stim;
	struct oni_stim_verdict *v = &arg->verdict;
	int ret;

	if (!in_session(ctx, arg->nonce, v) ||
	    !in_state(stim, ONI_STIM_CLAIMED, ONI_STIM_LOADED, v) ||
	    !judge(ctx->dev, *l, v) || !oni_stim_fits(stim, *l, v))
		return refuse(ctx, ONI_STIM_IOC_LOAD, v);
	if (stim->playing) {
		verdict(v, ONI_STIM_TOO_SOON, 0, 0);
		return refuse(ctx, ONI_STIM_IOC_LOAD, v);
	}
	oni_stim_drop(ctx->dev, ctx->link, ONI_STIM_BECAUSE_LOAD);
	if (stim->state == ONI_STIM_FAULT)
		return -EIO;
	stim->loaded = *l;
	*l = NULL;
	stim->state = ONI_STIM_LOADED;
	ret = into_hardware(ctx, ONI_STIM_IOC_LOAD, v);
	if (!ret)
		oni_stim_event(ctx->dev, ONI_STIM_EV_LOAD,
			       stim->loaded->train.length_ns);
	return ret;
}

static int ioc_load(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_load *arg = argp;
	struct oni_stim_loaded *l = program_from_user(ctx, arg);
	int ret;

	if (IS_ERR(l))
		return PTR_ERR(l);
	memcpy(arg->hash, l->hash, sizeof(arg->hash));
	ret = answer(ctx, arg, &arg->verdict);
	if (!ret)
		ret = lock(&ctx->dev->stim);
	if (!ret) {
		ret = load(ctx, arg, &l);
		mutex_unlock(&ctx->dev->stim.lock);
	}
	kvfree(l);
	return ret;
}

static int set_step(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_step *arg = argp;
	struct oni_stim *stim = &ctx->dev->stim;
	struct oni_stim_verdict *v = &arg->verdict;
	int ret;

	if (!in_session(ctx, arg->nonce, v) ||
	    !in_state(stim, ONI_STIM_CLAIMED, ONI_STIM_LOADED, v))
		return refuse(ctx, ONI_STIM_IOC_STEP, v);
	if (!oni_stim_step_known(arg->step_na))
		return refuse(ctx, ONI_STIM_IOC_STEP,
			      verdict(v, ONI_STIM_STEP_SIZE, arg->step_na, 0));
	oni_stim_drop(ctx->dev, ctx->link, ONI_STIM_BECAUSE_LOAD);
	if (stim->state == ONI_STIM_FAULT)
		return -EIO;
	ret = oni_stim_set_step(ctx->dev, ctx->link, arg->hub, arg->step_na);
	if (ret == -ENOENT)
		return refuse(ctx, ONI_STIM_IOC_STEP,
			      verdict(v, ONI_STIM_NO_STIMULATOR, arg->hub, 0));
	if (!ret)
		oni_stim_event(ctx->dev, ONI_STIM_EV_STEP, arg->step_na);
	return ret;
}

static int ioc_step(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_step *arg = argp;

	return locked(ctx, arg->flags || arg->reserved, arg, &arg->verdict,
		      set_step);
}

/* --- arm, kick, fire --------------------------------------------------------------- */

static bool may_arm(struct oni_ioctl_ctx *ctx, struct oni_stim_arm *arg)
{
	struct oni_stim *stim = &ctx->dev->stim;
	struct oni_stim_verdict *v = &arg->verdict;
	struct oni_stream *stream = ctx->dev->stream;

	if (!in_session(ctx, arg->nonce, v))
		return false;
	if (stim->state == ONI_STIM_CLAIMED && stim->because) {
		verdict(v, ONI_STIM_LOST, 0, 0);
		v->where = stim->because;
		return false;
	}
	if (!in_state(stim, ONI_STIM_LOADED, ONI_STIM_LOADED, v))
		return false;
	if (memcmp(arg->hash, stim->loaded->hash, sizeof(arg->hash)))
		verdict(v, ONI_STIM_HASH, 0, 0);
	else if (!arg->ttl_ms || arg->ttl_ms > ONI_STIM_TTL_MAX_MS)
		verdict(v, ONI_STIM_TTL, arg->ttl_ms, ONI_STIM_TTL_MAX_MS);
	else if (stim->suspended || stim->leaving ||
		 !oni_fw_key_watch(&ctx->dev->fw))
		verdict(v, ONI_STIM_INHIBITED, 0, 0);
	else if (!oni_stim_log_kept(ctx->dev))
		verdict(v, ONI_STIM_NO_AUDIT, 0, 0);
	else if (!ctx->dev->running || !stream ||
		 READ_ONCE(stream->ring->prod->flags) & ONI_RING_FULL)
		verdict(v, ONI_STIM_NO_DATA, 0, 0);
	else
		/* The ceilings may have come down since it was loaded. */
		return judge(ctx->dev, stim->loaded, v) &&
		       oni_stim_fits(stim, stim->loaded, v);
	return false;
}

static u64 watchdog_ns(const struct oni_stim *stim)
{
	return (u64)stim->loaded->program.watchdog_ms * NSEC_PER_MSEC;
}

/* Caller holds dev->lock as well, so that the acquisition stays what it is. */
static int arm(struct oni_ioctl_ctx *ctx, struct oni_stim_arm *arg)
{
	struct oni_stim *stim = &ctx->dev->stim;
	u32 because = 0;
	u64 now;
	int ret = 0;

	if (!may_arm(ctx, arg))
		return refuse(ctx, ONI_STIM_IOC_ARM, &arg->verdict);
	if (stim->in_hardware)
		because = oni_stim_held(ctx->dev, ctx->link);
	else
		ret = into_hardware(ctx, ONI_STIM_IOC_ARM, &arg->verdict);
	if (because) {
		oni_stim_fault(ctx->dev, ctx->link, because);
		return -EIO;
	}
	if (ret)
		return ret;
	/* Only now can anything come out; it goes back on with every stop. */
	oni_fw_inhibit(&ctx->dev->fw, false);
	ret = oni_stim_enable(ctx->dev, ctx->link);
	if (ret) {
		oni_stim_fault(ctx->dev, ctx->link, ONI_STIM_BECAUSE_LINK);
		return ret;
	}
	now = ktime_get_boottime_ns();
	stim->ring = ctx->dev->stream->ring;
	oni_ring_get(stim->ring);
	stim->generation = READ_ONCE(stim->ring->prod->generation);
	stim->kick_pos = 0;
	stim->armed_ns = now;
	stim->ttl_ns = now + (u64)arg->ttl_ms * NSEC_PER_MSEC;
	stim->dog_ns = now + watchdog_ns(stim);
	stim->poll_ns = now;
	stim->open = false;
	stim->state = ONI_STIM_ARMED;
	stim->because = ONI_STIM_BECAUSE_NOTHING;
	oni_stim_walk_begin(ctx->dev);
	oni_stim_event(ctx->dev, ONI_STIM_EV_ARM, arg->ttl_ms);
	oni_stim_poke(ctx->dev);
	return 0;
}

static int ioc_arm(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_arm *arg = argp;
	struct oni_dev *dev = ctx->dev;
	int ret;

	if (arg->flags || memchr_inv(arg->reserved, 0, sizeof(arg->reserved)))
		return -EINVAL;
	ret = answer(ctx, arg, &arg->verdict);
	if (ret)
		return ret;
	if (mutex_lock_interruptible(&dev->lock))
		return -EINTR;
	ret = lock(&dev->stim);
	if (!ret) {
		ret = arm(ctx, arg);
		mutex_unlock(&dev->stim.lock);
	}
	mutex_unlock(&dev->lock);
	return ret;
}

static int kick(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_kick *arg = argp;
	struct oni_stim *stim = &ctx->dev->stim;
	struct oni_stim_verdict *v = &arg->verdict;
	u64 least;

	if (!in_session(ctx, arg->nonce, v) ||
	    !in_state(stim, ONI_STIM_ARMED, ONI_STIM_ARMED, v))
		return refuse(ctx, ONI_STIM_IOC_KICK, v);
	if (arg->generation != stim->generation ||
	    !oni_stim_kick_ok(stim, arg->position, watchdog_ns(stim), &least)) {
		if (arg->generation != stim->generation)
			least = 0;
		return refuse(ctx, ONI_STIM_IOC_KICK,
			      verdict(v, ONI_STIM_STALE_KICK, arg->position,
				      least));
	}
	stim->kick_pos = arg->position;
	stim->dog_ns = ktime_get_boottime_ns() + watchdog_ns(stim);
	return 0;
}

static int ioc_kick(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_kick *arg = argp;

	return locked(ctx, arg->flags || memchr_inv(arg->reserved, 0,
						    sizeof(arg->reserved)),
		      arg, &arg->verdict, kick);
}

/* The smallest ceiling of those whom the train concerns. */
static u64 least_of(const struct oni_stim *stim, u32 limit)
{
	u64 least = U64_MAX;
	u32 c;

	for (c = 0; c <= ONI_STIM_RETURN; c++)
		if (stim->loaded->train.on_ns[c])
			least = min(least,
				    class_of(&stim->policy, c)->max[limit]);
	return least;
}

/* Time with current of a contact by trains that a window may still contain. */
static u64 past_on_ns(const struct oni_stim *stim, u64 now, u32 contact)
{
	const struct oni_stim_past *past;
	u64 sum = 0, i;

	for (i = 0; i < min_t(u64, stim->pasts, ONI_STIM_TRAINS_MAX); i++) {
		past = &stim->past[i];
		if (past->end_ns + stim->policy.duty_window_ns > now)
			sum += (u64)past->on_us[contact] * NSEC_PER_USEC;
	}
	return sum;
}

/*
 * Is the duty kept in windows that have an end of earlier trains and a beginning of
 * this one? Those inside of one train were judged with the program.
 */
static bool duty_ok(const struct oni_stim *stim, u64 now,
		    struct oni_stim_verdict *v)
{
	const struct oni_stim_train *t = &stim->loaded->train;
	u64 window = stim->policy.duty_window_ns, allowed, sum;
	const struct oni_stim_class *cls;
	u32 c;

	for (c = 0; c <= ONI_STIM_RETURN; c++) {
		sum = t->on_ns[c] ? past_on_ns(stim, now, c) : 0;
		if (!sum)
			continue;
		sum += min(t->on_ns[c], window);
		/* ppm of at most an hour: it fits. */
		cls = class_of(&stim->policy, c);
		allowed = div_u64(window * cls->max[ONI_STIM_DUTY], 1000000);
		if (allowed < window && sum > allowed) {
			verdict(v, ONI_STIM_TOO_SOON, sum, allowed);
			v->contact = c;
			v->where = ONI_STIM_DUTY;
			v->source = cls->source[ONI_STIM_DUTY];
			return false;
		}
	}
	return true;
}

/* Is it time for a train? */
static bool may_fire(struct oni_stim *stim, u64 now, struct oni_stim_verdict *v)
{
	u64 rate = least_of(stim, ONI_STIM_RATE);
	u64 pause = rate ? div64_u64(MHZ_NS + rate - 1, rate) : 0;
	u64 due = stim->armed_ns + ONI_STIM_ARM_DELAY_MS * NSEC_PER_MSEC;
	const struct oni_stim_past *oldest;

	if (stim->pasts)
		due = max(due, stim->train_end_ns + pause);
	if (now < due) {
		verdict(v, ONI_STIM_TOO_SOON, now - stim->armed_ns,
			due - stim->armed_ns);
		return false;
	}
	/* What was forgotten might have counted. */
	oldest = &stim->past[stim->pasts % ONI_STIM_TRAINS_MAX];
	if (stim->pasts >= ONI_STIM_TRAINS_MAX &&
	    oldest->end_ns + stim->policy.duty_window_ns > now) {
		verdict(v, ONI_STIM_TOO_SOON, now - oldest->end_ns,
			stim->policy.duty_window_ns);
		return false;
	}
	if (!(stim->loaded->program.sources & ONI_STIM_FROM_REGISTER)) {
		verdict(v, ONI_STIM_STATE, ONI_STIM_FROM_REGISTER,
			stim->loaded->program.sources);
		return false;
	}
	return duty_ok(stim, now, v);
}

/* Another FIRE has come too soon: is it one of too many? */
static bool floods(struct oni_stim *stim, u64 now)
{
	if (now - stim->flood_ns >= NSEC_PER_SEC) {
		stim->flood_ns = now;
		stim->flood = 0;
	}
	return ++stim->flood >= ONI_STIM_FLOOD;
}

static void remember(struct oni_stim *stim, u64 now)
{
	const struct oni_stim_train *t = &stim->loaded->train;
	struct oni_stim_past *past;
	u32 c;

	past = &stim->past[stim->pasts++ % ONI_STIM_TRAINS_MAX];
	past->start_ns = now;
	past->end_ns = now + t->length_ns;
	for (c = 0; c <= ONI_STIM_RETURN; c++)
		past->on_us[c] = div_u64(t->on_ns[c] + NSEC_PER_USEC - 1,
					 NSEC_PER_USEC);
}

static int fire(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_call *arg = argp;
	struct oni_stim *stim = &ctx->dev->stim;
	struct oni_stim_verdict *v = &arg->verdict;
	u64 now = ktime_get_boottime_ns();
	int ret;

	if (!in_session(ctx, arg->nonce, v) ||
	    !in_state(stim, ONI_STIM_ARMED, ONI_STIM_ARMED, v))
		return refuse(ctx, ONI_STIM_IOC_FIRE, v);
	if (!may_fire(stim, now, v)) {
		if (v->code == ONI_STIM_TOO_SOON && floods(stim, now))
			oni_stim_fault(ctx->dev, ctx->link,
				       ONI_STIM_BECAUSE_FLOOD);
		return refuse(ctx, ONI_STIM_IOC_FIRE, v);
	}
	/* The thread may be late; the time is what counts. */
	if (now >= min(stim->dog_ns, stim->ttl_ns)) {
		oni_stim_poke(ctx->dev);
		return refuse(ctx, ONI_STIM_IOC_FIRE,
			      verdict(v, ONI_STIM_STATE, ONI_STIM_ARMED,
				      ONI_STIM_LOADED));
	}
	if (!oni_fw_key_kept(&ctx->dev->fw)) {
		oni_stim_poke(ctx->dev);
		return refuse(ctx, ONI_STIM_IOC_FIRE,
			      verdict(v, ONI_STIM_INHIBITED, 0, 0));
	}
	if (!oni_stim_log_kept(ctx->dev))
		return refuse(ctx, ONI_STIM_IOC_FIRE,
			      verdict(v, ONI_STIM_NO_AUDIT, 0, 0));
	if (stim->walk.commanded >= ONI_STIM_UNREPORTED_MAX)
		return refuse(ctx, ONI_STIM_IOC_FIRE,
			      verdict(v, ONI_STIM_NO_DATA, stim->walk.commanded,
				      ONI_STIM_UNREPORTED_MAX - 1));
	/* Counted and told before: nothing that happens may be missing. */
	stim->fires++;
	remember(stim, now);
	oni_stim_walk_expect(ctx->dev);
	stim->playing = true;
	oni_stim_event(ctx->dev, ONI_STIM_EV_FIRE, stim->fires);
	ret = oni_stim_trigger(ctx->dev, ctx->link);
	/* It has begun at the latest now. */
	stim->train_end_ns = ktime_get_boottime_ns() +
			     stim->loaded->train.length_ns;
	if (ret)
		oni_stim_fault(ctx->dev, ctx->link, ONI_STIM_BECAUSE_LINK);
	return ret;
}

static int disarm(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_call *arg = argp;
	struct oni_stim *stim = &ctx->dev->stim;

	if (!in_session(ctx, arg->nonce, &arg->verdict) ||
	    !in_state(stim, ONI_STIM_ARMED, ONI_STIM_ARMED, &arg->verdict))
		return refuse(ctx, ONI_STIM_IOC_DISARM, &arg->verdict);
	oni_stim_disarm(ctx->dev, ctx->link, ONI_STIM_BECAUSE_OWNER);
	return stim->state == ONI_STIM_FAULT ? -EIO : 0;
}

static int release(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_call *arg = argp;
	struct oni_stim *stim = &ctx->dev->stim;
	struct oni_stim_verdict *v = &arg->verdict;

	if (!is_owner(stim, ctx->file))
		return refuse(ctx, ONI_STIM_IOC_RELEASE, not_owner(stim, v));
	if (arg->nonce != stim->nonce)
		return refuse(ctx, ONI_STIM_IOC_RELEASE,
			      verdict(v, ONI_STIM_NONCE, arg->nonce, 0));
	oni_stim_end(ctx->dev, ctx->link, ONI_STIM_BECAUSE_OWNER);
	return 0;
}

/*
 * Everything anew, acknowledged: then there is no session and nothing loaded, whoever
 * had one.
 */
static int ack(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_call *arg = argp;
	struct oni_stim *stim = &ctx->dev->stim;

	if (stim->state != ONI_STIM_FAULT)
		return refuse(ctx, ONI_STIM_IOC_ACK_FAULT,
			      verdict(&arg->verdict, ONI_STIM_STATE,
				      ONI_STIM_FAULT, stim->state));
	stim->confirmed = !oni_stim_off(ctx->dev, ctx->link, 0);
	if (!stim->confirmed)
		return -EIO;
	oni_stim_end(ctx->dev, ctx->link, ONI_STIM_BECAUSE_NOTHING);
	stim->state = ONI_STIM_SAFE;
	stim->because = ONI_STIM_BECAUSE_NOTHING;
	oni_stim_event(ctx->dev, ONI_STIM_EV_ACK, 0);
	return 0;
}

static bool call_is_bad(const struct oni_stim_call *arg)
{
	return arg->flags || arg->reserved[0] || arg->reserved[1];
}

static int ioc_fire(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_call *arg = argp;

	return locked(ctx, call_is_bad(arg), arg, &arg->verdict, fire);
}

/* First the stop, then the answer. A signal is no reason not to stop. */
static int end_call(struct oni_ioctl_ctx *ctx, struct oni_stim_call *arg,
		    int (*fn)(struct oni_ioctl_ctx *ctx, void *arg))
{
	int ret;

	if (call_is_bad(arg))
		return -EINVAL;
	arg->verdict = (struct oni_stim_verdict){
		.contact = ONI_STIM_NO_CONTACT,
	};
	mutex_lock(&ctx->dev->stim.lock);
	ret = fn(ctx, arg);
	mutex_unlock(&ctx->dev->stim.lock);
	return ret;
}

static int ioc_disarm(struct oni_ioctl_ctx *ctx, void *arg)
{
	return end_call(ctx, arg, disarm);
}

static int ioc_release(struct oni_ioctl_ctx *ctx, void *arg)
{
	return end_call(ctx, arg, release);
}

static int ioc_ack(struct oni_ioctl_ctx *ctx, void *argp)
{
	struct oni_stim_call *arg = argp;

	return locked(ctx, call_is_bad(arg), arg, &arg->verdict, ack);
}

/* --- files ------------------------------------------------------------------------- */

static const struct oni_ioctl stim_ioctls[] = {
	{ ONI_STIM_IOC_STATUS, sizeof(struct oni_stim_status), false, ioc_status },
	{ ONI_STIM_IOC_POLICY, sizeof(struct oni_stim_policy_arg), true,
	  ioc_policy },
	{ ONI_STIM_IOC_LIMITS, sizeof(struct oni_stim_policy_arg), false,
	  ioc_limits },
	{ ONI_STIM_IOC_LOWER, sizeof(struct oni_stim_policy_arg), true, ioc_lower },
	{ ONI_STIM_IOC_CHECK, sizeof(struct oni_stim_load), false, ioc_check },
	{ ONI_STIM_IOC_CLAIM, sizeof(struct oni_stim_claim), true, ioc_claim },
	{ ONI_STIM_IOC_STEP, sizeof(struct oni_stim_step), true, ioc_step },
	{ ONI_STIM_IOC_LOAD, sizeof(struct oni_stim_load), true, ioc_load },
	{ ONI_STIM_IOC_ARM, sizeof(struct oni_stim_arm), true, ioc_arm },
	{ ONI_STIM_IOC_KICK, sizeof(struct oni_stim_kick), true, ioc_kick },
	{ ONI_STIM_IOC_FIRE, sizeof(struct oni_stim_call), true, ioc_fire },
	{ ONI_STIM_IOC_DISARM, sizeof(struct oni_stim_call), true, ioc_disarm },
	{ ONI_STIM_IOC_RELEASE, sizeof(struct oni_stim_call), true, ioc_release },
	{ ONI_STIM_IOC_ACK_FAULT, sizeof(struct oni_stim_call), true, ioc_ack },
};

/*
 * The owner wants an end, and nobody could read in which session. It is this one, by
 * file and process: the number of it protects those who go on, not those who stop.
 */
static void end_unread(struct oni_dev *dev, struct file *file, unsigned int cmd)
{
	struct oni_stim *stim = &dev->stim;
	struct oni_link *link;
	int idx;

	mutex_lock(&stim->lock);
	link = oni_dev_enter(dev, &idx);
	if (is_owner(stim, file) && cmd == ONI_STIM_IOC_RELEASE)
		oni_stim_end(dev, link, ONI_STIM_BECAUSE_OWNER);
	else if (is_owner(stim, file) && stim->state == ONI_STIM_ARMED)
		oni_stim_disarm(dev, link, ONI_STIM_BECAUSE_OWNER);
	oni_dev_exit(dev, idx);
	mutex_unlock(&stim->lock);
}

static long stim_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct oni_ioctl_ctx ctx = {
		.file = file,
		.dev = file->private_data,
	};
	long ret;

	ret = oni_ioctl_dispatch(stim_ioctls, ARRAY_SIZE(stim_ioctls), &ctx, cmd,
				 arg);
	if (ret == -EFAULT && (cmd == ONI_STIM_IOC_DISARM ||
			       cmd == ONI_STIM_IOC_RELEASE))
		end_unread(ctx.dev, file, cmd);
	return ret;
}

static int node_open(struct inode *inode, struct file *file)
{
	struct oni_dev *dev = oni_node_dev(inode->i_cdev);

	if (oni_dev_gone(dev))
		return -ENODEV;
	/* The node holds the controller until the last file is closed. */
	file->private_data = dev;
	return nonseekable_open(inode, file);
}

/* The threads that an exec does away with close the files that it has left. */
static u32 why_closed(void)
{
	return current->signal->group_exec_task ? ONI_STIM_BECAUSE_EXEC :
						  ONI_STIM_BECAUSE_CLOSE;
}

static void owner_gone(struct oni_dev *dev, struct file *file, bool whoever)
{
	struct oni_stim *stim = &dev->stim;
	struct oni_link *link;
	int idx;

	if (READ_ONCE(stim->file) != file)
		return;
	mutex_lock(&stim->lock);
	link = oni_dev_enter(dev, &idx);
	if (stim->pid && stim->file == file &&
	    (whoever || stim->pid == task_tgid(current)))
		oni_stim_end(dev, link, why_closed());
	oni_dev_exit(dev, idx);
	mutex_unlock(&stim->lock);
}

/* Every close(2) of every copy of the file: that of the owner's ends it. */
static int stim_flush(struct file *file, fl_owner_t id)
{
	owner_gone(file->private_data, file, false);
	return 0;
}

static int stim_release(struct inode *inode, struct file *file)
{
	owner_gone(file->private_data, file, true);
	return 0;
}

const struct file_operations oni_stim_fops = {
	.owner = THIS_MODULE,
	.open = node_open,
	.flush = stim_flush,
	.release = stim_release,
	.unlocked_ioctl = stim_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/*
 * A stop that has nothing to stop touches no hardware, or anybody could keep the
 * registers busy.
 */
static int stop(struct oni_dev *dev, struct oni_link *link)
{
	struct oni_stim *stim = &dev->stim;

	if (stim->state == ONI_STIM_LOADED || stim->state == ONI_STIM_ARMED)
		oni_stim_drop(dev, link, ONI_STIM_BECAUSE_STOP);
	else if (!stim->confirmed && link)
		stim->confirmed = !oni_stim_off(dev, link, 0);
	return stim->confirmed ? 0 : -EIO;
}

static ssize_t stop_write(struct file *file, const char __user *buf, size_t len,
			  loff_t *ppos)
{
	struct oni_dev *dev = file->private_data;
	struct oni_link *link;
	int idx, ret;

	/* Not interruptible: who wants a stop gets it. */
	mutex_lock(&dev->stim.lock);
	link = oni_dev_enter(dev, &idx);
	ret = link ? stop(dev, link) : -ENODEV;
	oni_dev_exit(dev, idx);
	mutex_unlock(&dev->stim.lock);
	return ret ?: len;
}

static ssize_t stop_read(struct file *file, char __user *buf, size_t len,
			 loff_t *ppos)
{
	struct oni_dev *dev = file->private_data;
	char line[32];
	int n;

	if (oni_dev_gone(dev))
		return -ENODEV;
	n = scnprintf(line, sizeof(line), "%s\n",
		      oni_stim_state_names[READ_ONCE(dev->stim.state)]);
	return simple_read_from_buffer(buf, len, ppos, line, n);
}

static int stop_open(struct inode *inode, struct file *file)
{
	int ret = node_open(inode, file);

	/* The state is a line at the beginning of the file. */
	if (!ret)
		file->f_mode |= FMODE_PREAD | FMODE_PWRITE;
	return ret;
}

const struct file_operations oni_stop_fops = {
	.owner = THIS_MODULE,
	.open = stop_open,
	.read = stop_read,
	.write = stop_write,
};
