"""Every command by name, and the function that is it as a string: none of them is loaded here."""

from __future__ import annotations

from typing import Final

COMMANDS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "": {
        "demo": ("headwater.demo:demo", "Run the whole system on this machine and show the live map."),
        "bill": ("planning.bill_commands:bill", "Work out what a fleet costs in a month."),
        "simulate": (
            "evaluation.simulate_commands:simulate",
            "Work out what a large fleet needs and what it costs.",
        ),
        "load": ("evaluation.load_commands:load", "Send the frames of many simulated devices, and count."),
        "drill": ("evaluation.drill_commands:drill", "Break things while frames flow, and count what is lost."),
        "prices": ("planning.price_commands:prices", "Show price books: servers, functions, devices, messages, power."),
        "doctor": ("headwater.doctor:doctor", "Say what is installed and working here, and what is missing."),
        "health": ("headwater.health:health", "Ask a running process how it is."),
        "edge": ("edge.commands:edge", "Run a device: pictures in, frames out."),
        "worker": ("cloud_worker.commands:worker", "Run a cloud worker: frames in, results out."),
        "worker-http": ("cloud_worker.commands:worker_http", "Run a cloud worker over HTTP: pictures in, answers out."),
        "autoscale": (
            "cloud_worker.autoscale.commands:autoscale",
            "Start and stop workers of a compose project by how long frames wait.",
        ),
        "visualizer": ("visualizer.commands:visualizer", "Run the site: live map, stage times, devices."),
        "top": ("visualizer.top_commands:top", "Show a fleet in the terminal, live."),
    },
    "plan": {
        "": ("edge.plan_commands:plan", "Say where a frame should be computed, and why not elsewhere."),
        "replay": ("edge.replay_commands:replay", "Decide again, under other conditions, what a device decided."),
    },
    "models": {
        "cuts": ("models.commands:cuts", "List the cut points of a model and what each costs."),
        "extract": ("models.commands:extract", "Write the part of a model between two tensors."),
        "import": ("models.importing.commands:import_", "Make a bundle of your own model, and give it early exits."),
        "wire": ("evaluation.commands:wire", "Measure accuracy against bytes, per cut point and codec."),
        "privacy": ("evaluation.commands:privacy", "Rebuild pictures from what travels, and say how well."),
        "calibrate": ("models.calibration_commands:calibrate", "Choose when frames leave at the early exits."),
        "list": ("models.shelf_commands:list_models", "List the models of the shelf, and which of them are here."),
        "build": ("models.shelf_commands:build", "Write the bundle of a network that is built for timing."),
        "layers": ("models.shelf_commands:layers", "Show how a document's layer numbers map to cut points."),
    },
    "models train": {
        "bottleneck": (
            "models.training.bottleneck.commands:bottleneck",
            "Lay a learned bottleneck into a model, for few bytes.",
        ),
        "litter": ("models.training.commands:litter", "Train the litter model and write its bundle."),
        "faces": ("models.training.face_commands:faces", "Train the light faces model with two exits."),
        "faces-vgg16": ("models.training.face_commands:faces_vgg16", "Train VGG16 for faces (papers/000)."),
        "mnist": ("models.training.shelf_commands:mnist", "Train the network for handwritten digits."),
        "cifar-mem": ("models.training.shelf_commands:cifar_mem", "Train the CIFAR-10 network with eight exits."),
        **{
            f"cifar-sem{n}": (f"models.training.shelf_commands:cifar_sem{n}", f"Train it with one exit, at place {n}.")
            for n in range(1, 9)
        },
    },
    "models fetch": {"face": ("models.faces.commands:face", "Fetch the two networks that find and outline faces.")},
    "evaluate": {
        "adaptation": ("evaluation.adaptation_commands:adaptation", "See how the split moves when link or clock fall."),
        "costs": ("evaluation.costs_commands:costs", "Work out the documents' tables of costs (papers/000, 002)."),
        "deployments": (
            "evaluation.deployments_commands:deployments",
            "Compare edge, cloud over HTTP, Lambda, split and exits (papers/000).",
        ),
        "exits": ("evaluation.exits_commands:exits", "Measure what early exits do to accuracy and latency."),
        "exit-training": ("evaluation.exit_training_commands:exit_training", "Compare three ways to train exits."),
        "regret": ("evaluation.regret_commands:regret", "Measure how good the choice of the split is (papers/001)."),
        "links": ("evaluation.links_commands:links", "Run every split over several links and devices (papers/002)."),
        "fleet": ("evaluation.fleet_commands:fleet", "Hold the simulation against a real fleet on this machine."),
        "scale": ("evaluation.scale_commands:scale", "See what more workers, devices and frames do on this machine."),
        "soak": ("evaluation.soak_commands:soak", "Let a fleet stream for long, and see whether a process grows."),
        "one-or-many": ("evaluation.one_or_many_commands:one_or_many", "Compare one exit with many (papers/003)."),
    },
    "users": {
        "add": ("visualizer.user_commands:add", "Let somebody sign in to the site, or give them another password."),
        "list": ("visualizer.user_commands:list_users", "List who may sign in to the site."),
        "remove": ("visualizer.user_commands:remove", "Let somebody sign in no longer."),
    },
    "broker": {
        "run": ("broker.commands:run", "Run a broker here, until stopped."),
        "access": ("broker.commands:access", "Print an access list that holds fleets apart."),
    },
    "broker certificates": {
        "server": ("broker.certificate_commands:server", "Make a server's certificate, and the authority for all."),
        "client": ("broker.certificate_commands:client", "Make certificates of devices, workers, the site."),
        "renew": ("broker.certificate_commands:renew", "Make certificates last longer."),
        "revoke": ("broker.certificate_commands:revoke", "Take certificates back."),
        "list": ("broker.certificate_commands:list_certificates", "List the certificates, and until when they hold."),
    },
    "store": {"run": ("cloud_worker.store_commands:run", "Run a store here, until stopped.")},
}
"""Every command: the function that is it, and its line in the list; "" is what a group does when called alone."""

GROUPS: Final = {
    "plan": "Say where a frame should be computed, and why not elsewhere.",
    "models": "Read, cut, measure and train models.",
    "models train": "Train the models that Headwater ships.",
    "models fetch": "Fetch networks that others publish.",
    "evaluate": "Repeat the documents' tables and figures.",
    "users": "Who may sign in to the site.",
    "broker": "The MQTT broker.",
    "broker certificates": "Certificates for the broker and whoever comes to it.",
    "store": "The Redis store.",
}
