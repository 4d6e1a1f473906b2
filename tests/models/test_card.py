from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.models.card import model_card


def test_cards_list_model_training_scores_and_licences() -> None:
    card = model_card(
        "mine",
        DenseConfig(block_size=4, hidden_sizes=(3,)),
        {"epochs": 3},
        {"engine": "CC0", "foot.npy": "not stated"},
        {"PSNR": "40.1 dB"},
    )
    assert card.startswith("# mine\n\n")
    assert card.endswith("|\n")
    for row in (
        "| architecture | dense |",
        "| block_size | 4 |",
        "| hidden_sizes | (3,) |",
        "| epochs | 3 |",
        "| PSNR | 40.1 dB |",
        "## Training volumes",
        "| engine | CC0 |",
        "| foot.npy | not stated |",
    ):
        assert row in card.splitlines()
