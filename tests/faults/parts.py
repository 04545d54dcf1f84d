"""All parts of the campaign by name."""

from tests.faults import (
    commands,
    datasets,
    images,
    load,
    model_files,
    proposal_files,
    run_files,
    serving,
)
from tests.faults.campaign import HANG, Part

PARTS = {
    "jpeg": Part(images.jpeg, 60),
    "png": Part(images.png, 100),
    "xml": Part(datasets.annotation, 100),
    "lists": Part(datasets.lists, 100),
    "npz": Part(proposal_files.npz, 100),
    "mat": Part(proposal_files.mat, 100),
    "cache": Part(proposal_files.cache, 20),
    "config.json": Part(run_files.config, 100),
    "best.json": Part(run_files.best, 100),
    "data.json": Part(run_files.data, 100),
    "log.csv": Part(run_files.log, 60),
    "model.json": Part(run_files.model_json, 100),
    "checkpoint": Part(model_files.checkpoint, 12),
    "hdf5": Part(model_files.hdf5, 100),
    "caffemodel": Part(model_files.caffemodel, 100),
    "requests": Part(serving.requests, 30),
    "REST answers": Part(serving.rest_answers, 50),
    "REST questions": Part(serving.rest_questions, 50),
    "gRPC answers": Part(serving.grpc_answers, 50),
    "threads": Part(load.threads, 2, 10 * HANG),
    "detections": Part(load.detections, 2, 10 * HANG),
    **{
        f"{kind} {command}": Part(prepare(command), 1, is_isolated=False)
        for kind, prepare in (("kill", commands.killed), ("full disk", commands.full_disk))
        for command in commands.COMMANDS
    },
}
