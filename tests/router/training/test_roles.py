from headrace.router.training.roles import DOMAINS, ROLES, domain_of


def test_every_domain_is_a_known_one() -> None:
    for source in ROLES:
        assert domain_of(source, "no such subject") in DOMAINS
    for subject in ("abstract_algebra", "human_eval", "trivia_qa", "roleplay", "commongen", "formal_logic"):
        assert domain_of("routellm_mmlu", subject) in DOMAINS


def test_the_subject_knows_better_than_the_source() -> None:
    assert domain_of("routellm_mmlu", "college_mathematics") == "maths"
    assert domain_of("routellm_mmlu", "anatomy") == "knowledge"


def test_no_model_plays_both_roles() -> None:
    for roles in ROLES.values():
        assert not set(roles.small) & set(roles.large)
