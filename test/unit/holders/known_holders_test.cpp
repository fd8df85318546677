// Each row of known_holders.def has an example here that it and no later row must know.
#include <catch2/catch.hpp>

#include <map>

#include "report/holders/known_holders.hpp"

namespace vramtrack::holders {
namespace {

struct Example {
  std::string name, holder, member, born;
};

const Example examples[] = {
    {"torchmetrics", "torchmetrics.classification.auroc.MulticlassAUROC", "preds", ""},
    {"torcheval", "torcheval.metrics.classification.accuracy.MulticlassAccuracy", "inputs", ""},
    {"ignite_metric", "ignite.metrics.epoch_metric.EpochMetric", "_predictions", ""},
    {"evaluate_metric", "evaluate.module.EvaluationModule", "buf_writer", ""},
    {"ipython_out", "__main__", "Out", ""},
    {"ipython_last_outputs", "__main__", "_12", ""},
    {"last_exception", "sys.last_value", "", ""},
    {"ipython_traceback", "IPython.core.ultratb.AutoFormattedTB", "tb", ""},
    {"transformers_evaluation", "Trainer.evaluation_loop()", "all_preds", ""},
    {"transformers_containers", "transformers.trainer_pt_utils.EvalLoopContainer", "tensors", ""},
    {"lightning_outputs", "pytorch_lightning.loops.evaluation_loop._EvaluationLoop", "_outputs", ""},
    {"lightning_step_outputs", "__main__.Model", "validation_step_outputs", ""},
    {"lightning_results", "lightning.pytorch.trainer.connectors.logger_connector.result._ResultCollection", "x", ""},
    {"accelerator", "accelerate.accelerator.Accelerator", "_models", ""},
    {"optuna_trial", "optuna.trial._frozen.FrozenTrial", "_user_attrs", ""},
    {"fastai_learner", "fastai.learner.Learner", "pred", ""},
    {"deepspeed_buffers", "deepspeed.runtime.zero.stage_1_and_2.DeepSpeedZeroOptimizer", "ipg_buffer", ""},
    {"ctx_attribute", "SwishFnBackward", "ctx.out", ""},
    {"create_graph", "torch.Tensor", ".grad.grad_fn", ""},
    {"checkpoint_frames", "torch.utils.checkpoint._CheckpointFrame", "recomputed", ""},
    {"saved_tensor_hooks", "torch.autograd.graph.save_on_cpu", "packed", ""},
    {"optimizer_state", "torch.optim.adam.Adam", "state", ""},
    {"lbfgs_history", "torch.optim.lbfgs.LBFGS", "old_dirs", ""},
    {"scheduler_closure", "torch.optim.lr_scheduler.LambdaLR", "lr_lambdas", ""},
    {"scheduler_wrapper", "torch.optim.adamw.AdamW", "_wrapped_by_lr_sched", ""},
    {"averaged_model", "torch.optim.swa_utils.AveragedModel", "module", ""},
    {"lru_cache", "functools._lru_cache_wrapper", "", ""},
    {"future_result", "concurrent.futures._base.Future", "_result", ""},
    {"traceback_frames", "builtins.ValueError", "__traceback__", ""},
    {"running_task", "_asyncio.Task", "coroutine", ""},
    {"waiting_timer", "threading.Timer", "args", ""},
    {"thread_local", "_thread._local", "buffer", ""},
    {"queue", "queue.Queue", "queue", ""},
    {"simple_queue", "_queue.SimpleQueue", "", ""},
    {"at_exit", "atexit", "", ""},
    {"weak_finalizer", "weakref.finalize._Info", "args", ""},
    {"iterator_copies", "itertools.cycle", "", ""},
    {"event_loop_timers", "asyncio.events.TimerHandle", "_args", ""},
    {"mock_calls", "unittest.mock.Mock", "_mock_call_args_list", ""},
    {"log_records", "logging.LogRecord", "args", ""},
    {"pytest_fixture", "_pytest.fixtures.FixtureDef", "cached_result", ""},
    {"kv_cache", "transformers.cache_utils.DynamicCache", "layers", ""},
    {"past_key_values", "dict", "past_key_values", ""},
    {"model_outputs", "transformers.modeling_outputs.CausalLMOutputWithPast", "logits", ""},
    {"diffusers_pipeline", "diffusers.pipelines.StableDiffusionPipeline", "unet", ""},
    {"autocast_cache", "autocast weight cache", "", ""},
    {"cuda_graph", "torch.cuda.graphs.CUDAGraph", "", ""},
    {"mem_pool", "torch.cuda.memory.MemPool", "", ""},
    {"cudagraph_trees", "torch._inductor.cudagraph_trees.CUDAGraphNode", "outputs", ""},
    {"dynamo_cache", "torch._dynamo.guards.GuardManager", "x", ""},
    {"profiler", "torch.profiler.profiler.profile", "events", ""},
    {"module_hooks", "torch.nn.modules.linear.Linear", "_forward_hooks", ""},
    {"global_module_hooks", "torch.nn.modules.module", "_global_forward_hooks", ""},
    {"optimizer_hooks", "torch.optim.adamw.AdamW", "_optimizer_step_post_hooks", ""},
    {"log_buffer", "logging.handlers.MemoryHandler", "buffer", ""},
    {"tensor_hooks", "torch.nn.parameter.Parameter", "hook", ""},
    {"ddp_buckets", "torch.nn.parallel.distributed.DistributedDataParallel", "reducer", ""},
    {"fsdp_shards", "torch.distributed.fsdp._flat_param.FlatParamHandle", "flat_param", ""},
    {"distributed_work", "torch._C._distributed_c10d.Work", "", ""},
    {"ipc_consumer", "CUDA IPC exports", "", ""},
    {"shared_cache", "torch.multiprocessing.queue", "shared_cache", ""},
    {"data_prefetcher", "__main__.CudaPrefetcher", "next_batch", ""},
    {"loader_queue", "torch.utils.data.dataloader._MultiProcessingDataLoaderIter", "_data_queue", ""},
    {"loaded_checkpoint", "dict", "model", "/usr/lib/python3/site-packages/torch/serialization.py"},
    {"experiment_logger", "wandb.sdk.wandb_run.Run", "history", ""},
    {"opacus", "opacus.grad_sample.grad_sample_module.GradSampleModule", "activations", ""},
    {"explainers", "captum.attr._core.deep_lift.DeepLift", "inputs", ""},
    {"ray_store", "ray._private.worker.Worker", "store", ""},
    {"app_state", "gradio.state_holder.SessionState", "state", ""},
};

}  // namespace

TEST_CASE("every known holder is known by its example, and every example by its row") {
  std::map<std::string, int> seen;
  for (const Example& example : examples) {
    INFO(example.name);
    const HoldingStep way[] = {{"__main__", "x"}, {example.holder, example.member}};
    const std::string born[] = {example.born};
    const KnownHolder* known = known_holder(way, born);
    REQUIRE(known != nullptr);
    CHECK(std::string(known->name) == example.name);
    CHECK(!known->what.empty());
    CHECK(known->fix.ends_with('.'));
    ++seen[example.name];
  }
  CHECK(seen.size() == known_holders().size());
  CHECK(known_holders().size() >= 40);
}

TEST_CASE("what nobody met before is not explained") {
  const HoldingStep way[] = {{"__main__", "model"}, {"__main__.Net", "cache"}, {"list", ""}};
  CHECK(known_holder(way) == nullptr);
}

TEST_CASE("patterns") {
  CHECK(fits("a*c", "abbc"));
  CHECK(!fits("a*c", "abbd"));
  CHECK(fits("x|_#", "_12"));
  CHECK(!fits("_#", "_"));
  CHECK(fits("a|", ""));
  CHECK(!fits("a", ""));
}

}  // namespace vramtrack::holders
